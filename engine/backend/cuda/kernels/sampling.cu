// Sampling on the device: a block of threads for each row of logits (sample_row.h).

#include "engine/backend/cuda/kernels/launch.h"
#include "engine/backend/cuda/sample_row.h"

namespace quire::engine::cuda {
namespace {

// A block of threads. Barriers on both sides of every call: what was read before one is not written
// in it while another thread still reads.
struct BlockTeam {
  template <typename Function>
  __device__ __forceinline__ void each(int32_t n, Function function) const {
    __syncthreads();
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < n; i += kSampleThreads) function(i);
    __syncthreads();
  }
  template <typename Function>
  __device__ __forceinline__ void once(Function function) const {
    __syncthreads();
    if (threadIdx.x == 0) function();
    __syncthreads();
  }
  // Threads of a warp that count the same word do it in one addition: logits share few exponents.
  __device__ __forceinline__ uint32_t count(uint32_t* word) const {
    const unsigned active = __activemask();
    const unsigned same = __match_any_sync(active, reinterpret_cast<unsigned long long>(word));
    const int lane = static_cast<int>(threadIdx.x % 32);
    const int leader = __ffs(static_cast<int>(same)) - 1;
    uint32_t before = 0;
    if (lane == leader) before = atomicAdd(word, static_cast<uint32_t>(__popc(same)));
    before = __shfl_sync(same, before, leader);
    return before + static_cast<uint32_t>(__popc(same & ((1u << lane) - 1u)));
  }
  __device__ __forceinline__ void mark(uint32_t* word, uint32_t bits) const {
    atomicOr(word, bits);
  }
};

__global__ void __launch_bounds__(kSampleThreads, 1) sample_kernel(QuireCudaOp op) {
  __shared__ SampleShared shared;
  const auto row = static_cast<int32_t>(blockIdx.x);
  if (op.sample.rows[row].active == 0) return;
  RowSampler<BlockTeam>(BlockTeam{}, shared, op, row).run();
}

}  // namespace

cudaError_t launch_sample(const QuireCudaOp& op, cudaStream_t stream) {
  sample_kernel<<<static_cast<unsigned>(op.x.rows), kSampleThreads, 0, stream>>>(op);
  return cudaGetLastError();
}

}  // namespace quire::engine::cuda
