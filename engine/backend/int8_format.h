#pragma once
// int8 with a scale per group: how weights and activations are quantised under --quantization int8.
//
// A group is kInt8Group neighbours along K; the last one of a row is filled up with zeros. Values
// are whole numbers in [-127, 127] times the group's scale; no group looks at another one, so a
// row's numbers are a function of that row alone (the law of backend.h).
//   weights      scale = largest / 127, rounded up to bfloat16 (any float's range in two bytes)
//   activations  scale = largest / 127
//   value        nearest whole number to x * (1 / scale) (weights) or x * (127 / largest), ties to
//                even
// Groups below kInt8Smallest count as zero. A group that holds an infinity or a NaN has the scale
// NaN and zeros: whatever is multiplied with it is NaN, as it would be in float32.
//
// The product over both is out = chain over groups g of fma(float(sum over k in g of x * w),
// w.scale[g] * x.scale[g], out). The sums are exact: their order is free.
//
// Pure functions. These are the oracle's; cpu/int8_kernel.inc has the same arithmetic in vectors.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "engine/backend/float_formats.h"

namespace quire::engine {

inline constexpr std::int64_t kInt8Group = 128;
inline constexpr float kInt8Smallest = 1e-30f;  // its inverse times 127 is still finite

[[nodiscard]] constexpr std::int64_t int8_groups(std::int64_t cols) {
  return (cols + kInt8Group - 1) / kInt8Group;
}

// The scale of a group of weights, and what they are multiplied with.
struct Int8Scale {
  float scale = 0.0f;
  float inverse = 0.0f;
};

// A bfloat16 that brings `largest` to `most` or a little below.
[[nodiscard]] constexpr Int8Scale scale_up_to(float largest, float most) {
  if (largest < kInt8Smallest) return {};
  if (!(largest <= std::numeric_limits<float>::max())) {
    return {.scale = std::numeric_limits<float>::quiet_NaN(), .inverse = 0.0f};
  }
  // Up: the largest weight stays within 127.
  const auto bits = std::bit_cast<std::uint32_t>(largest / most);
  const float scale = std::bit_cast<float>((bits + 0xffffu) & 0xffff0000u);
  return {.scale = scale, .inverse = 1.0f / scale};
}

[[nodiscard]] constexpr Int8Scale int8_weight_scale(float largest) {
  return scale_up_to(largest, 127.0f);
}

[[nodiscard]] constexpr Int8Scale int8_activation_scale(float largest) {
  if (largest < kInt8Smallest) return {};
  if (!(largest <= std::numeric_limits<float>::max())) {
    return {.scale = std::numeric_limits<float>::quiet_NaN(), .inverse = 0.0f};
  }
  return {.scale = largest / 127.0f, .inverse = 127.0f / largest};
}

// The largest magnitude of x[0, n); NaN where one is NaN.
[[nodiscard]] inline float int8_largest(const float* x, std::int64_t n) {
  float largest = 0.0f;
  for (std::int64_t i = 0; i < n; ++i) {
    if (std::isnan(x[i])) return x[i];
    largest = std::max(largest, std::fabs(x[i]));
  }
  return largest;
}

// q[i] = x[i] in the group's whole numbers.
inline void int8_quantise(const float* x, std::int64_t n, float inverse, std::int8_t* q) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float value = inverse == 0.0f ? 0.0f : std::nearbyint(x[i] * inverse);
    q[i] = static_cast<std::int8_t>(value);
  }
}

}  // namespace quire::engine
