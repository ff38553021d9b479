// bfloat16 and float16: every bit pattern, and the processor's own conversions as the oracle.

#include <immintrin.h>

#include <cmath>
#include <random>

#include "engine/backend/cpu/kernels.h"
#include "engine/backend/float_formats.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

TEST_CASE("every float16 and bfloat16 survives widening and narrowing") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto pattern = static_cast<std::uint16_t>(bits);
    const bool half_nan = (bits & 0x7fff) > 0x7c00;
    const bool brain_nan = (bits & 0x7fff) > 0x7f80;
    if (half_nan) {
      REQUIRE(std::isnan(float16_to_float(pattern)));
    } else {
      REQUIRE(float_to_float16(float16_to_float(pattern)) == pattern);
    }
    if (brain_nan) {
      REQUIRE(std::isnan(bfloat16_to_float(pattern)));
      REQUIRE(std::isnan(bfloat16_to_float(float_to_bfloat16(bfloat16_to_float(pattern)))));
    } else {
      REQUIRE(float_to_bfloat16(bfloat16_to_float(pattern)) == pattern);
    }
  }
}

TEST_CASE("narrowing to bfloat16 takes the nearest, ties to even") {
  std::mt19937 random(1);
  for (int i = 0; i < 100000; ++i) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isfinite(value) || std::abs(value) > 1e38f) continue;
    const std::uint32_t down = std::bit_cast<std::uint32_t>(value) >> 16;
    const double below = bfloat16_to_float(static_cast<std::uint16_t>(down));
    const double above = bfloat16_to_float(static_cast<std::uint16_t>(down + 1));
    const double to_below = std::abs(double{value} - below);
    const double to_above = std::abs(double{value} - above);
    std::uint32_t expected = to_below < to_above ? down : down + 1;
    if (to_below == to_above) expected = down + (down & 1);
    REQUIRE(float_to_bfloat16(value) == expected);
  }
  REQUIRE(bfloat16_to_float(float_to_bfloat16(3.4e38f)) == INFINITY);
}

__attribute__((target("f16c"))) std::uint16_t processor_half(float value) {
  return static_cast<std::uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
}

TEST_CASE("narrowing to float16 is what F16C does") {
  if (!cpu::has_avx2()) return;
  std::mt19937 random(2);
  for (int i = 0; i < 1000000; ++i) {
    auto bits = static_cast<std::uint32_t>(random());
    if (i % 2 == 0) bits = (bits & 0x9fffffffu) | 0x30000000u;  // more around float16's own range
    const float value = std::bit_cast<float>(bits);
    INFO(bits);
    REQUIRE(float_to_float16(value) == processor_half(value));
  }
  for (const float value :
       {65504.0f, 65519.99f, 65520.0f, 0x1p-14f, 0x1p-24f, 0x1p-25f, 0x1.8p-25f}) {
    REQUIRE(float_to_float16(value) == processor_half(value));
    REQUIRE(float_to_float16(-value) == processor_half(-value));
  }
}

}  // namespace
}  // namespace quire::engine
