// The kernels for AVX2 with FMA and F16C.
//
// The kernels' sources are included here a second time beside kernels_avx512.cpp, into a namespace
// of their own and compiled for that instruction set alone. The target is set by pragma after the
// last std header, and kernels use nothing of std: otherwise the linker might take an AVX copy of
// some std function for the whole program, which would then die on a processor without it.
#include <cpuid.h>
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/backend/cpu/kernels.h"

#define INLINE __attribute__((always_inline)) inline
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#define UNROLL _Pragma("GCC unroll 32")
// g++ 12 takes the undefined pass-through operands inside its own intrinsics for a mistake of ours.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

namespace quire::engine::cpu {
namespace {
namespace avx2 {

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

#include "engine/backend/cpu/vector_avx2.inc"
// After the vectors that they are written in.
#include "engine/backend/cpu/linear_kernel.inc"
// Rows of int8 are packed as those of floats are.
#include "engine/backend/cpu/int8_kernel.inc"
// exp comes with attention.
#include "engine/backend/cpu/attention_kernel.inc"
#include "engine/backend/cpu/row_kernel.inc"

}  // namespace avx2
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
  using namespace avx2;
  Kernels table{.name = "avx2"};
  table.linear[0] = float_kernels<float>();
  table.linear[1] = float_kernels<Float16>();
  table.linear[2] = float_kernels<BFloat16>();
  table.linear[3] = int8_kernels<DotPlain>();
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

const Kernels& avx2_kernels() {
  static constexpr Kernels kKernels = make_table();
  return kKernels;
}

LinearKernels avx_vnni_int8_kernels() { return avx2::int8_kernels<avx2::DotVnni>(); }

bool has_avx2() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  // clang 16 does not know f16c by name. The builtin also asks whether the system saves the
  // registers.
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0 &&
         __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool has_avx_vnni() {
  constexpr unsigned kAvxVnni = 1u << 4;  // g++ 12 does not know it by name
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 &&
         (eax & kAvxVnni) != 0;
}

}  // namespace quire::engine::cpu
