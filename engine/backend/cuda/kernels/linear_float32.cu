// Products with float32 weights: the seam's own chain, acc = fma(x[k], w[k], acc) for k = 0, 1,
// ..., so that the result is the reference's to the bit. Made for being right, not for speed.

#include "engine/backend/cuda/kernels/launch.h"
#include "engine/backend/cuda/schedule.h"

namespace quire::engine::cuda {
namespace {

constexpr int kTile = 32;     // rows of the weight and tokens of a block
constexpr int kColumns = 32;  // of k at a time
constexpr int kEach = 4;      // tokens of a thread

__global__ void __launch_bounds__(kTile* kTile / kEach) float32_kernel(QuireCudaOp op) {
  __shared__ float weights[kTile][kColumns + 1];
  __shared__ float tokens[kTile][kColumns + 1];
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t first_token = static_cast<int64_t>(blockIdx.y) * kTile;
  const int lane = threadIdx.x % kTile;
  const int part = threadIdx.x / kTile;
  const auto* weight = static_cast<const float*>(op.weight.data);
  const auto* x = static_cast<const float*>(op.x.data);
  float sums[kEach] = {};
  for (int64_t k = 0; k < op.weight.cols; k += kColumns) {
    const auto columns =
        static_cast<int>(op.weight.cols - k < kColumns ? op.weight.cols - k : kColumns);
    for (int r = part; r < kTile; r += kTile / kEach) {
      const bool column = lane < columns;
      const bool row = first_row + r < op.weight.rows;
      const bool token = first_token + r < op.out.rows;
      weights[r][lane] =
          column && row ? weight[(first_row + r) * op.weight.row_stride + k + lane] : 0.0f;
      tokens[r][lane] = column && token ? x[(first_token + r) * op.x.row_stride + k + lane] : 0.0f;
    }
    __syncthreads();
    for (int c = 0; c < columns; ++c) {
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        sums[j] = fmaf(tokens[part * kEach + j][c], weights[lane][c], sums[j]);
      }
    }
    __syncthreads();
  }
  if (first_row + lane >= op.weight.rows) return;
  for (int j = 0; j < kEach; ++j) {
    const int64_t token = first_token + part * kEach + j;
    if (token >= op.out.rows) continue;
    const float sum = op.vector == nullptr ? sums[j] : sums[j] + op.vector[first_row + lane];
    static_cast<float*>(op.out.data)[token * op.out.row_stride + first_row + lane] = sum;
  }
}

}  // namespace

cudaError_t launch_linear_float32(const QuireCudaOp& op, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(ceil_div(op.weight.rows, kTile)),
                  static_cast<unsigned>(ceil_div(op.out.rows, kTile)));
  float32_kernel<<<grid, kTile * kTile / kEach, 0, stream>>>(op);
  return cudaGetLastError();
}

}  // namespace quire::engine::cuda
