#pragma once
// How a page holds keys and values: as floats, or as codes of 8 bits with a scale per token and
// head.
//
//   float32, float16, bfloat16   rounded to the nearest, ties to even; no scale
//   int8                         whole numbers in [-127, 127]
//   fp8                          e4m3 (sign, 4 bits of exponent, 3 of mantissa); its bits are read
//   as
//                                a float16's with the same exponent field, so a number is 2^-8 of
//                                what e4m3 usually stands for, and the scale 2^8 of it
// A number of a page is number(code) * scale. The scale is the largest magnitude of that token's
// head (of K, or of V) over the largest code, as a bfloat16 rounded up: any float's range, and the
// largest stays within the codes. A head that holds an infinity or a NaN has the scale NaN; one
// below kInt8Smallest counts as zero. A token's codes are a function of that token alone (the law),
// are made once, when it is written, and everybody reads them.
//
// A part of a page: the tiles of all heads, then the scales, [kv_head][slot].
//
// Pure functions, used by every backend on the host; branch-free where they are per element.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "cache/kv_spec.h"
#include "engine/backend/float_formats.h"
#include "engine/backend/int8_format.h"

namespace quire::engine {

[[nodiscard]] constexpr bool has_scales(DType kv_dtype) {
  return cache::kv_scale_bytes(kv_dtype) > 0;
}

// Changes when what a page's bytes mean changes: part of the key of a page off the device.
[[nodiscard]] constexpr std::string_view kv_format_name(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat16:
      return "float16";
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kInt8:
      return "int8-head";
    case DType::kFp8E4M3:
      return "fp8-head";
    case DType::kInt32:
      break;
  }
  return "none";
}

// The nearest whole number, ties to even. Invariant: |x| < 2^22 (or a number that nobody reads).
[[nodiscard]] inline std::uint8_t int8_code(float x) {
  return static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(x + 0x1.8p23f));
}
[[nodiscard]] constexpr float int8_number(std::uint8_t code) {
  return static_cast<float>(static_cast<std::int8_t>(code));
}

// The nearest code, ties to the even one. Invariant: |x| <= 1.75 (or a number that nobody reads).
[[nodiscard]] inline std::uint8_t fp8_code(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  // Below 2^-14 a code counts multiples of 2^-17, the unit of a float in [64, 128).
  const std::uint32_t small =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 64.0f) - 0x42800000u;
  const std::uint32_t normal =
      (magnitude - (112u << 23) + 0x7ffffu + ((magnitude >> 20) & 1u)) >> 20;
  return static_cast<std::uint8_t>(((bits >> 24) & 0x80u) |
                                   (magnitude < 0x38800000u ? small : normal));
}
[[nodiscard]] constexpr float fp8_number(std::uint8_t code) {
  const std::uint32_t half = ((code & 0x80u) << 8) | ((code & 0x7fu) << 7);
  return float16_to_float(static_cast<std::uint16_t>(half));
}

// Invariant: the type has scales.
[[nodiscard]] inline std::uint8_t kv_code(float x, DType dtype) {
  return dtype == DType::kInt8 ? int8_code(x) : fp8_code(x);
}
[[nodiscard]] constexpr float kv_number(std::uint8_t code, DType dtype) {
  return dtype == DType::kInt8 ? int8_number(code) : fp8_number(code);
}

// A head's scale, and what its numbers are multiplied with before they become codes.
struct KvScale {
  std::uint16_t bits = 0;  // bfloat16
  float inverse = 0.0f;
};

[[nodiscard]] inline KvScale kv_scale(const float* x, std::int64_t n, DType dtype) {
  std::int32_t largest = 0;  // as bits: NaN above infinity above every number
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t magnitude = std::bit_cast<std::int32_t>(x[i]) & 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
  }
  const float most = dtype == DType::kInt8 ? 127.0f : 1.75f;
  const Int8Scale scale = scale_up_to(std::bit_cast<float>(largest), most);
  return {.bits = float_to_bfloat16(scale.scale), .inverse = scale.inverse};
}

}  // namespace quire::engine
