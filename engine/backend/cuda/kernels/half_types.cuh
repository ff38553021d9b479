#pragma once
// float16 and bfloat16 on the device: conversions, the tensor cores' instruction, and the loads
// that feed it. Both types have the same code but for the instruction's name.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

#include "engine/backend/cuda/quire_cuda_abi.h"

namespace quire::engine::cuda {

__device__ inline void to_half(float value, __half& out) { out = __float2half_rn(value); }
__device__ inline void to_half(float value, __nv_bfloat16& out) {
  out = __float2bfloat16_rn(value);
}

// Two neighbouring values in one register, the first in the low half.
template <typename T>
__device__ inline uint32_t pack(float first, float second) {
  T low;
  T high;
  to_half(first, low);
  to_half(second, high);
  return static_cast<uint32_t>(*reinterpret_cast<uint16_t*>(&low)) |
         static_cast<uint32_t>(*reinterpret_cast<uint16_t*>(&high)) << 16;
}

// sum += a b: 16 rows of a, 8 columns of b, 16 values of k.
__device__ inline void multiply(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                                __half) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline void multiply(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                                __nv_bfloat16) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Four 8 x 8 matrices; thread l names row l % 8 of matrix l / 8.
__device__ inline void load_matrices(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row)));
}
__device__ inline void load_matrices_transposed(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row)));
}

// 16 bytes from global to shared memory, later; zeros where there is no source.
__device__ inline void copy_later(void* to, const void* from, bool exists) {
  const int bytes = exists ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(bytes)
               : "memory");
}
// The same for 8 or 16 bytes.
template <int kBytes>
__device__ inline void copy_bytes_later(void* to, const void* from, bool exists) {
  if constexpr (kBytes == 16) {
    copy_later(to, from, exists);
  } else {
    const int bytes = exists ? kBytes : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)),
                 "l"(from), "n"(kBytes), "r"(bytes)
                 : "memory");
  }
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until all but the last kGroups groups of this thread's copies are there.
template <int kGroups>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

// One value of the 16-bit copy beside an op's output, where there is one.
__device__ inline void store_narrow(const QuireCudaNarrowCopy& narrow, int64_t row, int64_t column,
                                    float value) {
  if (narrow.data == nullptr) return;
  const int64_t at = row * narrow.row_stride + column;
  if (narrow.type == kQuireCudaFloat16) {
    static_cast<__half*>(narrow.data)[at] = __float2half_rn(value);
  } else {
    static_cast<__nv_bfloat16*>(narrow.data)[at] = __float2bfloat16_rn(value);
  }
}

// An element of a row in any of the three types.
__device__ inline float load_any(const void* data, int64_t at, int32_t type) {
  if (type == kQuireCudaFloat32) return static_cast<const float*>(data)[at];
  if (type == kQuireCudaFloat16) return __half2float(static_cast<const __half*>(data)[at]);
  return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[at]);
}
__device__ inline void store_any(void* data, int64_t at, int32_t type, float value) {
  if (type == kQuireCudaFloat32) {
    static_cast<float*>(data)[at] = value;
  } else if (type == kQuireCudaFloat16) {
    static_cast<__half*>(data)[at] = __float2half_rn(value);
  } else {
    static_cast<__nv_bfloat16*>(data)[at] = __float2bfloat16_rn(value);
  }
}

}  // namespace quire::engine::cuda
