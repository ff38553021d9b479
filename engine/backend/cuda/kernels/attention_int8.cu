// Attention over int8 pages.

#include "engine/backend/cuda/kernels/attention.cuh"

namespace quire::engine::cuda {

cudaError_t prepare_attention_int8() { return prepare_attention<Int8Codes>(); }

cudaError_t launch_attention_int8(const QuireCudaOp& op, cudaStream_t stream) {
  return launch_attention<Int8Codes>(op, stream);
}

}  // namespace quire::engine::cuda
