// The kernels for AVX-512 (F, BW, VL, DQ). kernels_avx2.cpp explains the form of this file.
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "engine/backend/cpu/kernels.h"

#define INLINE __attribute__((always_inline)) inline
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#pragma clang attribute push(                                                           \
        __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile," \
                              "amx-bf16,amx-int8,avx2,fma,f16c"))),                     \
            apply_to = function)
#else
#define UNROLL _Pragma("GCC unroll 32")
// g++ 12 takes the undefined pass-through operands inside its own intrinsics for a mistake of ours.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#endif

namespace quire::engine::cpu {
namespace {
namespace avx512 {

struct Float16 {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};
struct Int8Code {  // of a page: kv_format.h
  std::uint8_t bits;
};
struct Fp8Code {
  std::uint8_t bits;
};

#include "engine/backend/cpu/vector_avx512.inc"
// After the vectors that they are written in.
#include "engine/backend/cpu/linear_kernel.inc"
// Rows of int8 are packed as those of floats are.
#include "engine/backend/cpu/int8_kernel.inc"
// Tiles of products, for the places of those before it.
#include "engine/backend/cpu/amx_kernel.inc"
// exp comes with attention.
#include "engine/backend/cpu/attention_kernel.inc"
#include "engine/backend/cpu/row_kernel.inc"

}  // namespace avx512
}  // namespace
}  // namespace quire::engine::cpu

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace quire::engine::cpu {
namespace {

constexpr Kernels make_table() {
  using namespace avx512;
  Kernels table{.name = "avx512"};
  table.linear[0] = float_kernels<float>();
  table.linear[1] = float_kernels<Float16>();
  table.linear[2] = float_kernels<BFloat16>();
  table.linear[3] = int8_kernels<DotVnni>();
  table.attention[0] = attend<float>;
  table.attention[1] = attend<Float16>;
  table.attention[2] = attend<BFloat16>;
  table.attention[3] = attend<Int8Code>;
  table.attention[4] = attend<Fp8Code>;
  table.scale_head = scale_head;
  table.widen[0] = widen_elements<float>;
  table.widen[1] = widen_elements<Float16>;
  table.widen[2] = widen_elements<BFloat16>;
  table.widen[3] = widen_elements<Int8Code>;
  table.widen[4] = widen_elements<Fp8Code>;
  table.quantise_weights = quantise_weights;
  table.add = add_rows;
  table.rms_norm = rms_norm;
  table.layer_norm = layer_norm;
  table.silu_and_mul = silu_and_mul;
  table.gelu_tanh = gelu_tanh;
  return table;
}

}  // namespace

const Kernels& avx512_kernels() {
  static constexpr Kernels kKernels = make_table();
  return kKernels;
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

LinearKernels amx_bfloat16_kernels() { return avx512::amx_bfloat16(); }
LinearKernels amx_int8_kernels() { return avx512::amx_int8(); }

bool has_amx() {
  constexpr unsigned kTileInt8BFloat16 = 3u << 24 | 1u << 22;  // cpuid 7, edx
  constexpr unsigned kAvx512BFloat16 = 1u << 5;                // cpuid 7, 1, eax
  constexpr long kAskForState = 0x1023;                        // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!has_avx512_vnni() || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  if ((d & kTileInt8BFloat16) != kTileInt8BFloat16) return false;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0 || (a & kAvx512BFloat16) == 0) return false;
  return syscall(SYS_arch_prctl, kAskForState, kTileData) == 0;
}

bool has_avx512_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

}  // namespace quire::engine::cpu
