#pragma once
// The launchers of the kernels: each puts one op on a stream and returns what CUDA said. Arguments
// are checked by the caller (plugin.cu); none waits, so all can be captured in a graph.

#include <cuda_runtime_api.h>

#include "engine/backend/cuda/quire_cuda_abi.h"

namespace quire::engine::cuda {

cudaError_t launch_embed(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_add(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_narrow(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_norm(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_rope_write(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_silu_mul(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_gelu(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_gather(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_sample(const QuireCudaOp& op, cudaStream_t stream);
// By the type of the weight: the 16-bit ones, and float32.
cudaError_t launch_linear(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_linear_float32(const QuireCudaOp& op, cudaStream_t stream);
// By the type of the pages.
cudaError_t launch_attention_float16(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_attention_bfloat16(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_attention_int8(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_attention_fp8(const QuireCudaOp& op, cudaStream_t stream);
cudaError_t launch_attention_float32(const QuireCudaOp& op, cudaStream_t stream);
// After any of them: what was computed in splits.
cudaError_t launch_attention_merge(const QuireCudaOp& op, cudaStream_t stream);

// Once, before anything is launched: lets kernels have the shared memory they want.
cudaError_t prepare_linear();
cudaError_t prepare_attention_float16();
cudaError_t prepare_attention_bfloat16();
cudaError_t prepare_attention_int8();
cudaError_t prepare_attention_fp8();

}  // namespace quire::engine::cuda
