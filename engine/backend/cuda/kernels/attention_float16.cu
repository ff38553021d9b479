// Attention over float16 pages.

#include "engine/backend/cuda/kernels/attention.cuh"

namespace quire::engine::cuda {

cudaError_t prepare_attention_float16() { return prepare_attention<__half>(); }

cudaError_t launch_attention_float16(const QuireCudaOp& op, cudaStream_t stream) {
  return launch_attention<__half>(op, stream);
}

}  // namespace quire::engine::cuda
