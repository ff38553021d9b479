// Attention over fp8 pages.

#include "engine/backend/cuda/kernels/attention.cuh"

namespace quire::engine::cuda {

cudaError_t prepare_attention_fp8() { return prepare_attention<Fp8Codes>(); }

cudaError_t launch_attention_fp8(const QuireCudaOp& op, cudaStream_t stream) {
  return launch_attention<Fp8Codes>(op, stream);
}

}  // namespace quire::engine::cuda
