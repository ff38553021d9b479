// The splits of decodes that were computed apart: merged in order, as a block that walks its splits
// itself does it (softmax.h).

#include "engine/backend/cuda/kernels/half_types.cuh"
#include "engine/backend/cuda/kernels/launch.h"
#include "engine/backend/cuda/schedule.h"
#include "engine/backend/cuda/softmax.h"

namespace quire::engine::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kEach = kMaxHeadDim / kThreads;  // dims of a thread

// One query row; every thread has some dims of it.
__device__ void merge_row(const QuireCudaOp& op, const QuireCudaAttentionMerge& merge, int kv_head,
                          int row, int group) {
  const int head_dim = op.kv.head_dim;
  const int position = merge.first_position + token_of_row(row, group);
  float output[kEach] = {};
  float maximum = kNoScore;
  float total = 0.0f;
  for (int split = split_of(first_key(position, op.attention.window)); split <= split_of(position);
       ++split) {
    const float* in =
        op.attention.partials + partial_row(merge.partial + split - merge.split_begin, kv_head, row,
                                            op.kv.num_kv_heads, head_dim);
    const float split_maximum = in[head_dim];
    const float split_total = in[head_dim + 1];
    if (split_maximum == kNoScore) continue;
    const bool first = maximum == kNoScore;
    const MergeFactors factors = merge_factors(maximum, split_maximum);
    for (int i = 0; i < kEach; ++i) {
      const int dim = threadIdx.x + i * kThreads;
      if (dim < head_dim) output[i] = first ? in[dim] : merged(output[i], in[dim], factors);
    }
    total = first ? split_total : merged(total, split_total, factors);
    maximum = factors.maximum;
  }
  const int64_t token = merge.token_begin + token_of_row(row, group);
  const int64_t head = kv_head * group + head_of_row(row, group);
  for (int i = 0; i < kEach; ++i) {
    const int dim = threadIdx.x + i * kThreads;
    if (dim >= head_dim) continue;
    const float value = normalised(output[i], total);
    static_cast<float*>(op.out.data)[token * op.out.row_stride + head * head_dim + dim] = value;
    store_narrow(op.narrow, token, head * head_dim + dim, value);
  }
}

__global__ void merge_kernel(QuireCudaOp op) {
  const QuireCudaAttentionWork& work = op.attention;
  const int group = work.num_heads / op.kv.num_kv_heads;
  if (static_cast<int>(blockIdx.x) >= work.counts->merges) return;
  const QuireCudaAttentionMerge merge = work.merges[blockIdx.x];
  const int rows = rows_of_chunk(merge.num_tokens, group);
  for (int row = 0; row < rows; ++row) {
    merge_row(op, merge, static_cast<int>(blockIdx.y), row, group);
  }
}

}  // namespace

cudaError_t launch_attention_merge(const QuireCudaOp& op, cudaStream_t stream) {
  if (op.attention.merge_grid == 0) return cudaSuccess;
  const dim3 blocks(static_cast<unsigned>(op.attention.merge_grid),
                    static_cast<unsigned>(op.kv.num_kv_heads));
  merge_kernel<<<blocks, kThreads, 0, stream>>>(op);
  return cudaGetLastError();
}

}  // namespace quire::engine::cuda
