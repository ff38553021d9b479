// Attention over bfloat16 pages.

#include "engine/backend/cuda/kernels/attention.cuh"

namespace quire::engine::cuda {

cudaError_t prepare_attention_bfloat16() { return prepare_attention<__nv_bfloat16>(); }

cudaError_t launch_attention_bfloat16(const QuireCudaOp& op, cudaStream_t stream) {
  return launch_attention<__nv_bfloat16>(op, stream);
}

}  // namespace quire::engine::cuda
