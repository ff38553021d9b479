#include "engine/weights/convert.h"

#include <bit>
#include <cstring>

namespace quire::engine {
namespace {

constexpr std::uint32_t kSignBit = 0x80000000u;

float load(const std::byte* from, DType dtype) {
  if (dtype == DType::kFloat32) {
    float value = 0;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  std::uint16_t bits = 0;
  std::memcpy(&bits, from, sizeof bits);
  return dtype == DType::kFloat16 ? widen_half(bits) : widen_bfloat16(bits);
}

void store(float value, DType dtype, std::byte* to) {
  if (dtype == DType::kFloat32) {
    std::memcpy(to, &value, sizeof value);
    return;
  }
  const std::uint16_t bits =
      dtype == DType::kFloat16 ? narrow_to_half(value) : narrow_to_bfloat16(value);
  std::memcpy(to, &bits, sizeof bits);
}

bool is_float(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 || dtype == DType::kBFloat16;
}

}  // namespace

float widen_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::uint16_t narrow_to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & ~kSignBit) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  const std::uint32_t odd = (bits >> 16) & 1u;
  return static_cast<std::uint16_t>((bits + 0x7fffu + odd) >> 16);
}

float widen_half(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  const std::uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0) {  // zero and subnormal: fraction x 2^-24, exact in float32
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  const std::uint32_t wide_exponent = exponent == 0x1fu ? 0xffu : exponent + (127 - 15);
  return std::bit_cast<float>(sign | (wide_exponent << 23) | (fraction << 13));
}

std::uint16_t narrow_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits & kSignBit) >> 16);
  const float magnitude = std::bit_cast<float>(bits & ~kSignBit);
  if (!(magnitude == magnitude)) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= 65520.0f) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x1p-14f) {
    // Subnormal: adding 2^23 ulps of the smallest step lets the adder round to even.
    const float shifted = magnitude + 0.5f;  // 0.5 has a step of 2^-24
    const auto steps = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0.5f);
    return static_cast<std::uint16_t>(sign | steps);
  }
  const std::uint32_t whole = std::bit_cast<std::uint32_t>(magnitude);
  const std::uint32_t odd = (whole >> 13) & 1u;
  const std::uint32_t rounded = whole + 0xfffu + odd - ((127u - 15u) << 23);
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

std::vector<std::byte> convert(const HostTensor& tensor, DType dtype) {
  CHECK(is_float(tensor.dtype) && is_float(dtype));
  const std::int64_t from_bytes = dtype_bytes(tensor.dtype);
  const std::int64_t to_bytes = dtype_bytes(dtype);
  std::vector<std::byte> out(static_cast<std::size_t>(tensor.rows * tensor.cols * to_bytes));
  std::byte* to = out.data();
  for (std::int64_t r = 0; r < tensor.rows; ++r) {
    for (std::int64_t c = 0; c < tensor.cols; ++c, to += to_bytes) {
      const std::int64_t element = r * tensor.row_stride + c * tensor.col_stride;
      store(load(tensor.data + element * from_bytes, tensor.dtype), dtype, to);
    }
  }
  return out;
}

}  // namespace quire::engine
