// The codes of quantised pages: every code by its definition, the nearest code of any number, the
// kernels' widening, and what a page's numbers are worth.

#include "engine/backend/kv_format.h"

#include <cmath>
#include <random>

#include "engine/backend/cpu/kernels.h"
#include "tests/backend/tensors.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

// e4m3 by its definition (Micikevicius et al. 2022), times 2^-8; the two NaN codes excepted.
double e4m3(int code) {
  const int exponent = (code >> 3) & 15;
  const int mantissa = code & 7;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return (code & 128 ? -magnitude : magnitude) / 256;
}

TEST_CASE("every code is what its definition says, and survives") {
  for (int code = 0; code < 256; ++code) {
    const auto byte = static_cast<std::uint8_t>(code);
    REQUIRE(int8_number(byte) == static_cast<float>(code < 128 ? code : code - 256));
    REQUIRE(int8_code(int8_number(byte)) == byte);
    if ((code & 127) == 127) continue;
    REQUIRE(double{fp8_number(byte)} == e4m3(code));
    REQUIRE(fp8_code(fp8_number(byte)) == byte);
  }
  REQUIRE(fp8_number(0x7e) == 1.75f);  // 448
}

TEST_CASE("numbers go to the nearest code, ties to the even one") {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> exponent(-20.0f, 0.0f);
  for (int i = 0; i < 200000; ++i) {
    const float sign = random() % 2 == 0 ? 1.0f : -1.0f;
    float x = sign * 1.75f * std::exp2(exponent(random));
    if (i % 4 == 0) x = sign * static_cast<float>(random() % 14337) / 8192.0f;  // many ties
    const std::uint8_t code = fp8_code(x);
    const double distance = std::abs(e4m3(code) - double{x});
    for (const int other : {code - 1, code + 1}) {
      if ((other & 127) == 127 || ((other ^ code) & 128) != 0 || other < 0 || other > 255) continue;
      const double there = std::abs(e4m3(other) - double{x});
      INFO(x << ": code " << int{code} << " or " << other);
      REQUIRE((distance < there || (distance == there && code % 2 == 0)));
    }
    REQUIRE(((code & 128) != 0) == std::signbit(x));
    const float y = x * 72.0f;
    REQUIRE(int8_number(int8_code(y)) == std::nearbyint(y));
  }
}

TEST_CASE("a scale brings the largest within the codes, whatever its size") {
  std::mt19937 random(2);
  for (const DType dtype : {DType::kInt8, DType::kFp8E4M3}) {
    const float most = dtype == DType::kInt8 ? 127.0f : 1.75f;
    const double step = dtype == DType::kInt8 ? 0.5 / 127 : 1.0 / 16;  // of the largest
    for (int power = -90; power <= 126; ++power) {
      const testing::Matrix x =
          testing::Matrix::random(1, 33, random, 0, std::ldexp(1.0f, power) / 8);
      const KvScale scale = kv_scale(x.row(0), x.cols(), dtype);
      const float factor = bfloat16_to_float(scale.bits);
      double largest = 0;
      for (int i = 0; i < 33; ++i) largest = std::max(largest, std::abs(double{x.row(0)[i]}));
      for (int i = 0; i < 33; ++i) {
        REQUIRE(std::abs(x.row(0)[i] * scale.inverse) <= most * 1.000001f);
        const std::uint8_t code = kv_code(x.row(0)[i] * scale.inverse, dtype);
        const double error = double{kv_number(code, dtype)} * factor - double{x.row(0)[i]};
        REQUIRE(std::abs(error) <= largest * step * 1.01);
      }
    }
  }
}

TEST_CASE("a head of zeros is zeros, one with an infinity or a NaN is NaN") {
  for (const DType dtype : {DType::kInt8, DType::kFp8E4M3}) {
    float head[4] = {0.0f, -0.0f, 1e-38f, -1e-35f};
    const KvScale zero = kv_scale(head, 4, dtype);
    REQUIRE(bfloat16_to_float(zero.bits) == 0.0f);
    for (const float x : head) REQUIRE(kv_number(kv_code(x * zero.inverse, dtype), dtype) == 0.0f);
    for (const float bad : {INFINITY, -INFINITY, NAN}) {
      head[2] = bad;
      REQUIRE(std::isnan(bfloat16_to_float(kv_scale(head, 4, dtype).bits)));
    }
  }
}

TEST_CASE("the kernels read codes as the definition does") {
  if (!cpu::has_avx2()) return;
  std::byte codes[256 + 7];
  for (int i = 0; i < 263; ++i) codes[i] = static_cast<std::byte>(i);
  for (const cpu::Kernels* kernels : {&cpu::avx2_kernels(), &cpu::avx512_kernels()}) {
    if (kernels == &cpu::avx512_kernels() && !cpu::has_avx512()) continue;
    for (const DType dtype : {DType::kInt8, DType::kFp8E4M3}) {
      float numbers[263];
      kernels->widen[static_cast<int>(dtype)](codes, 263, numbers);
      for (int i = 0; i < 263; ++i) {
        REQUIRE(numbers[i] == kv_number(static_cast<std::uint8_t>(i), dtype));
      }
    }
  }
}

}  // namespace
}  // namespace quire::engine
