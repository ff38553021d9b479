#pragma once
// The codes and scales of int8 and fp8 pages as the kernels make and read them: kv_format.h's
// arithmetic, compiled for the device and for the host alike, where tests compare the two bit for
// bit. What a head's scale and numbers are is defined there.

#include <stdint.h>
#include <string.h>

#include "engine/backend/cuda/quire_cuda_abi.h"
#include "engine/backend/cuda/schedule.h"

namespace quire::engine::cuda {

QUIRE_HOST_DEVICE inline uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
QUIRE_HOST_DEVICE inline float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

QUIRE_HOST_DEVICE constexpr bool holds_codes(int32_t type) {
  return type == kQuireCudaInt8 || type == kQuireCudaFp8;
}

QUIRE_HOST_DEVICE inline uint8_t int8_code_of(float x) {
  return static_cast<uint8_t>(bits_of(x + 0x1.8p23f));
}
QUIRE_HOST_DEVICE inline uint8_t fp8_code_of(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t small = bits_of(float_of(magnitude) + 64.0f) - 0x42800000u;
  const uint32_t normal = (magnitude - (112u << 23) + 0x7ffffu + ((magnitude >> 20) & 1u)) >> 20;
  return static_cast<uint8_t>(((bits >> 24) & 0x80u) | (magnitude < 0x38800000u ? small : normal));
}
QUIRE_HOST_DEVICE inline uint8_t code_of(float x, int32_t type) {
  return type == kQuireCudaInt8 ? int8_code_of(x) : fp8_code_of(x);
}

QUIRE_HOST_DEVICE inline float int8_number_of(uint32_t code) {
  return static_cast<float>(static_cast<int8_t>(code));
}
// Exponent field and mantissa move to a float's places; 2^112 makes up for the two biases, also
// where the exponent field is 0: the product is exact.
QUIRE_HOST_DEVICE inline float fp8_number_of(uint32_t code) {
  return float_of((code & 0x80u) << 24 | (code & 0x7fu) << 20) * 0x1p112f;
}

// A head's scale as a bfloat16, and what its numbers are multiplied with; `largest`: the largest
// of their magnitudes as bits, which puts NaN above infinity and that above every number.
struct CodeScale {
  uint16_t bits;
  float inverse;
};
QUIRE_HOST_DEVICE inline CodeScale code_scale(uint32_t largest, int32_t type) {
  const float magnitude = float_of(largest);
  if (magnitude < 1e-30f) return {0, 0.0f};
  if (largest >= 0x7f800000u) return {0x7fc0, 0.0f};
  const float most = type == kQuireCudaInt8 ? 127.0f : 1.75f;
  const uint32_t scale = (bits_of(magnitude / most) + 0xffffu) & 0xffff0000u;
  return {static_cast<uint16_t>(scale >> 16), 1.0f / float_of(scale)};
}
QUIRE_HOST_DEVICE inline float scale_of(uint16_t bits) {
  return float_of(static_cast<uint32_t>(bits) << 16);
}

}  // namespace quire::engine::cuda
