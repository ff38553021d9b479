// The ops that work row by row: one block of threads per row, in the reference's arithmetic but for
// the order of a norm's sums, which is a fixed tree.

#include "engine/backend/cuda/kernels/half_types.cuh"
#include "engine/backend/cuda/kernels/launch.h"
#include "engine/backend/cuda/page_codes.h"
#include "engine/backend/cuda/sampling.h"
#include "engine/backend/cuda/schedule.h"

namespace quire::engine::cuda {
namespace {

constexpr int kThreads = 256;

__device__ float* row_of(const QuireCudaTensor& x, int64_t row) {
  return static_cast<float*>(x.data) + row * x.row_stride;
}

// The copy's columns past the activation's are 0.
__device__ void pad_narrow(const QuireCudaNarrowCopy& narrow, int64_t row, int64_t cols) {
  if (narrow.data == nullptr) return;
  for (int64_t c = cols + threadIdx.x; c < narrow.row_stride; c += kThreads) {
    store_narrow(narrow, row, c, 0.0f);
  }
}

// The block's sum, for every thread: within warps by halves, then over the warps in order.
__device__ float block_sum(float value) {
  __shared__ float of_warps[kThreads / 32];
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(~0u, value, step);
  __syncthreads();  // the array may still be read from the last call
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = of_warps[0];
  for (int i = 1; i < kThreads / 32; ++i) sum += of_warps[i];
  return sum;
}

__global__ void embed_kernel(QuireCudaOp op) {
  const int64_t t = blockIdx.x;
  const int64_t row = embedded_token(op, t) * op.weight.row_stride;
  for (int64_t c = threadIdx.x; c < op.out.cols; c += kThreads) {
    row_of(op.out, t)[c] = load_any(op.weight.data, row + c, op.weight.type);
  }
}

__global__ void add_kernel(QuireCudaOp op) {
  const int64_t t = blockIdx.x;
  for (int64_t c = threadIdx.x; c < op.x.cols; c += kThreads)
    row_of(op.x, t)[c] += row_of(op.y, t)[c];
}

__global__ void narrow_kernel(QuireCudaOp op) {
  const int64_t t = blockIdx.x;
  for (int64_t c = threadIdx.x; c < op.x.cols; c += kThreads) {
    store_narrow(op.narrow, t, c, row_of(op.x, t)[c]);
  }
  pad_narrow(op.narrow, t, op.x.cols);
}

// A thread reads again only what it wrote itself.
__device__ void add_delta(const QuireCudaOp& op, int64_t t) {
  if (op.y.data == nullptr) return;
  float* x = row_of(op.x, t);
  const float* delta = row_of(op.y, t);
  for (int64_t c = threadIdx.x; c < op.x.cols; c += kThreads) x[c] += delta[c];
}

__global__ void rms_norm_kernel(QuireCudaOp op) {
  const int64_t t = blockIdx.x;
  add_delta(op, t);
  const float* x = row_of(op.x, t);
  float squares = 0.0f;
  for (int64_t c = threadIdx.x; c < op.x.cols; c += kThreads) squares = fmaf(x[c], x[c], squares);
  const float mean = block_sum(squares) / static_cast<float>(op.x.cols);
  const float scale = 1.0f / sqrtf(mean + op.epsilon);
  for (int64_t c = threadIdx.x; c < op.x.cols; c += kThreads) {
    const float value = x[c] * scale * op.vector[c];
    row_of(op.out, t)[c] = value;
    store_narrow(op.narrow, t, c, value);
  }
  pad_narrow(op.narrow, t, op.x.cols);
}

__global__ void layer_norm_kernel(QuireCudaOp op) {
  const int64_t t = blockIdx.x;
  add_delta(op, t);
  const float* x = row_of(op.x, t);
  const auto size = static_cast<float>(op.x.cols);
  float sum = 0.0f;
  for (int64_t c = threadIdx.x; c < op.x.cols; c += kThreads) sum += x[c];
  const float mean = block_sum(sum) / size;
  float squares = 0.0f;
  for (int64_t c = threadIdx.x; c < op.x.cols; c += kThreads) {
    squares = fmaf(x[c] - mean, x[c] - mean, squares);
  }
  const float scale = 1.0f / sqrtf(block_sum(squares) / size + op.epsilon);
  for (int64_t c = threadIdx.x; c < op.x.cols; c += kThreads) {
    const float value = (x[c] - mean) * scale * op.vector[c] + op.vector2[c];
    row_of(op.out, t)[c] = value;
    store_narrow(op.narrow, t, c, value);
  }
  pad_narrow(op.narrow, t, op.x.cols);
}

// Rotates the pairs of every head of a row.
__device__ void rotate_row(float* x, int64_t cols, int32_t head_dim, const float* cosines,
                           int32_t half) {
  const auto pairs = static_cast<int32_t>(cols / head_dim) * half;
  for (int32_t i = threadIdx.x; i < pairs; i += kThreads) {
    float* pair = x + static_cast<int64_t>(i / half) * head_dim + i % half;
    const float cosine = cosines[i % half];
    const float sine = cosines[half + i % half];
    const float first = pair[0];
    const float second = pair[half];
    pair[0] = first * cosine - second * sine;
    pair[half] = second * cosine + first * sine;
  }
}

// One head of one token into a part of a page, as codes; by one warp.
__device__ void write_codes(const float* x, const QuireCudaKv& kv, int32_t head, int64_t slot,
                            char* part) {
  const auto block = static_cast<int32_t>(slot / kv.block_size);
  const auto place = static_cast<int32_t>(slot % kv.block_size);
  const int lane = threadIdx.x % 32;
  uint32_t largest = 0;  // as bits: the order of magnitudes
  for (int32_t d = lane; d < kv.head_dim; d += 32) {
    largest = max(largest, bits_of(x[d]) & 0x7fffffffu);
  }
  for (int step = 16; step > 0; step /= 2) {
    largest = max(largest, __shfl_xor_sync(~0u, largest, step));
  }
  const CodeScale scale = code_scale(largest, kv.type);
  auto* codes = reinterpret_cast<uint8_t*>(
      part + slot_offset(block, place, head, kv.block_size, kv.head_dim, 1, kv.page_bytes));
  for (int32_t d = lane; d < kv.head_dim; d += 32)
    codes[d] = code_of(x[d] * scale.inverse, kv.type);
  if (lane == 0) {
    *reinterpret_cast<uint16_t*>(part + slot_scale_offset(block, place, head, kv.block_size,
                                                          kv.num_kv_heads, kv.head_dim,
                                                          kv.page_bytes)) = scale.bits;
  }
}

__device__ void write_all_codes(const QuireCudaOp& op, int64_t t, int64_t slot) {
  const QuireCudaKv& kv = op.kv;
  char* part = static_cast<char*>(kv.pool) + kv.layer_offset;
  for (int32_t i = threadIdx.x / 32; i < 2 * kv.num_kv_heads; i += kThreads / 32) {
    const int32_t head = i / 2;
    const float* x = row_of(i % 2 == 0 ? op.y : op.z, t) + static_cast<int64_t>(head) * kv.head_dim;
    write_codes(x, kv, head, slot, part + i % 2 * kv.part_bytes);
  }
}

__global__ void rope_write_kernel(QuireCudaOp op) {
  const int64_t t = blockIdx.x;
  if (op.rotary_dim > 0) {
    const float* table = op.vector + static_cast<int64_t>(op.index[t]) * op.rotary_dim;
    rotate_row(row_of(op.x, t), op.x.cols, op.kv.head_dim, table, op.rotary_dim / 2);
    rotate_row(row_of(op.y, t), op.y.cols, op.kv.head_dim, table, op.rotary_dim / 2);
    __syncthreads();  // k is read below by other threads than wrote it
  }
  const int64_t slot = op.slots[t];
  if (slot < 0) return;
  const QuireCudaKv& kv = op.kv;
  if (holds_codes(kv.type)) return write_all_codes(op, t, slot);
  const int32_t element = kv.type == kQuireCudaFloat32 ? 4 : 2;
  char* part = static_cast<char*>(kv.pool) + kv.layer_offset;
  for (int32_t c = threadIdx.x; c < op.y.cols; c += kThreads) {
    const int64_t line = slot_offset(static_cast<int32_t>(slot / kv.block_size),
                                     static_cast<int32_t>(slot % kv.block_size), c / kv.head_dim,
                                     kv.block_size, kv.head_dim, element, kv.page_bytes);
    store_any(part + line, c % kv.head_dim, kv.type, row_of(op.y, t)[c]);
    store_any(part + line + kv.part_bytes, c % kv.head_dim, kv.type, row_of(op.z, t)[c]);
  }
}

__global__ void silu_mul_kernel(QuireCudaOp op) {
  const int64_t t = blockIdx.x;
  const float* gate = row_of(op.x, t);
  for (int64_t c = threadIdx.x; c < op.out.cols; c += kThreads) {
    const float value = gate[c] / (1.0f + expf(-gate[c])) * gate[op.out.cols + c];
    row_of(op.out, t)[c] = value;
    store_narrow(op.narrow, t, c, value);
  }
  pad_narrow(op.narrow, t, op.out.cols);
}

__global__ void gelu_kernel(QuireCudaOp op) {
  constexpr float kRootTwoOverPi = 0.79788456080286536f;
  const int64_t t = blockIdx.x;
  for (int64_t c = threadIdx.x; c < op.x.cols; c += kThreads) {
    const float x = row_of(op.x, t)[c];
    const float inner = kRootTwoOverPi * (x + 0.044715f * x * x * x);
    const float value = 0.5f * x * (1.0f + tanhf(inner));
    row_of(op.x, t)[c] = value;
    store_narrow(op.narrow, t, c, value);
  }
  pad_narrow(op.narrow, t, op.x.cols);
}

__global__ void gather_kernel(QuireCudaOp op) {
  const int64_t s = blockIdx.x;
  const float* source = row_of(op.x, op.index[s]);
  for (int64_t c = threadIdx.x; c < op.out.cols; c += kThreads) row_of(op.out, s)[c] = source[c];
}

using Kernel = void (*)(QuireCudaOp);

cudaError_t launch(Kernel kernel, const QuireCudaOp& op, int64_t rows, cudaStream_t stream) {
  kernel<<<static_cast<unsigned>(rows), kThreads, 0, stream>>>(op);
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_embed(const QuireCudaOp& op, cudaStream_t stream) {
  return launch(embed_kernel, op, op.out.rows, stream);
}
cudaError_t launch_add(const QuireCudaOp& op, cudaStream_t stream) {
  return launch(add_kernel, op, op.x.rows, stream);
}
cudaError_t launch_narrow(const QuireCudaOp& op, cudaStream_t stream) {
  return launch(narrow_kernel, op, op.x.rows, stream);
}
cudaError_t launch_norm(const QuireCudaOp& op, cudaStream_t stream) {
  const Kernel kernel = op.kind == kQuireCudaRmsNorm ? rms_norm_kernel : layer_norm_kernel;
  return launch(kernel, op, op.x.rows, stream);
}
cudaError_t launch_rope_write(const QuireCudaOp& op, cudaStream_t stream) {
  return launch(rope_write_kernel, op, op.x.rows, stream);
}
cudaError_t launch_silu_mul(const QuireCudaOp& op, cudaStream_t stream) {
  return launch(silu_mul_kernel, op, op.out.rows, stream);
}
cudaError_t launch_gelu(const QuireCudaOp& op, cudaStream_t stream) {
  return launch(gelu_kernel, op, op.x.rows, stream);
}
cudaError_t launch_gather(const QuireCudaOp& op, cudaStream_t stream) {
  return launch(gather_kernel, op, op.out.rows, stream);
}

}  // namespace quire::engine::cuda
