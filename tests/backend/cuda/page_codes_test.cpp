// The codes and scales that kernels make and read are those of kv_format.h, bit for bit.

#include "engine/backend/cuda/page_codes.h"

#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "engine/backend/backend.h"
#include "engine/backend/kv_format.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

TEST_CASE("cuda codes are the reference's, and so are their numbers") {
  for (std::uint32_t code = 0; code < 256; ++code) {
    const auto byte = static_cast<std::uint8_t>(code);
    REQUIRE(cuda::bits_of(cuda::int8_number_of(code)) == cuda::bits_of(int8_number(byte)));
    REQUIRE(cuda::bits_of(cuda::fp8_number_of(code)) == cuda::bits_of(fp8_number(byte)));
  }
  std::mt19937 random(3);
  for (int i = 0; i < 300000; ++i) {
    const float x = std::ldexp(static_cast<float>(random() % 60001) - 30000.0f,
                               -static_cast<int>(random() % 40));
    if (std::abs(x) <= 1.75f) REQUIRE(cuda::fp8_code_of(x) == fp8_code(x));
    REQUIRE(cuda::int8_code_of(x) == int8_code(x));
  }
}

// What the kernel does for a head: the largest by bits, the scale, the codes.
void check_head(const std::array<float, 8>& head, DType dtype) {
  std::uint32_t largest = 0;
  for (const float x : head) largest = std::max(largest, cuda::bits_of(x) & 0x7fffffffu);
  const auto type = static_cast<std::int32_t>(dtype);
  const cuda::CodeScale scale = cuda::code_scale(largest, type);
  const KvScale expected = kv_scale(head.data(), 8, dtype);
  REQUIRE(scale.bits == expected.bits);
  REQUIRE(scale.inverse == expected.inverse);
  const float back = cuda::scale_of(scale.bits);
  if (!std::isnan(back)) REQUIRE(back == bfloat16_to_float(expected.bits));
  for (const float x : head) {
    REQUIRE(cuda::code_of(x * scale.inverse, type) == kv_code(x * expected.inverse, dtype));
  }
}

TEST_CASE("cuda scales are the reference's for numbers of any size") {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  using Limits = std::numeric_limits<float>;
  for (const DType dtype : {DType::kInt8, DType::kFp8E4M3}) {
    for (int exponent = -149; exponent < 128; ++exponent) {
      for (int i = 0; i < 50; ++i) {
        std::array<float, 8> head{};
        for (float& x : head) x = std::ldexp(normal(random), exponent);
        check_head(head, dtype);
      }
    }
    check_head({}, dtype);
    for (const float odd : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(),
                            Limits::max(), Limits::denorm_min(), 1e-30f}) {
      check_head({1.0f, odd, -2.0f}, dtype);
      check_head({odd}, dtype);
    }
  }
}

TEST_CASE("a scale lies where the pool's layout says") {
  for (const std::int32_t heads : {1, 3}) {
    const KvLayer layer{.page_bytes = 1 << 16,
                        .block_size = 32,
                        .num_kv_heads = heads,
                        .head_dim = 40,
                        .dtype = DType::kInt8};
    for (std::int32_t head = 0; head < heads; ++head) {
      for (std::int32_t slot = 0; slot < 32; ++slot) {
        CHECK(cuda::slot_scale_offset(5, slot, head, 32, heads, 40, layer.page_bytes) ==
              5 * layer.page_bytes + layer.scale_offset(head, slot));
      }
    }
  }
}

}  // namespace
}  // namespace quire::engine
