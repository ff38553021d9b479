#pragma once
// Conversion of weights between float32, float16 and bfloat16, for --dtype.
//
// Narrowing rounds to the nearest, ties to even; what is too large becomes infinity, as in the
// formats' own definition. Pure functions.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/tensor.h"

namespace quire::engine {

[[nodiscard]] float widen_half(std::uint16_t bits);
[[nodiscard]] float widen_bfloat16(std::uint16_t bits);
[[nodiscard]] std::uint16_t narrow_to_half(float value);
[[nodiscard]] std::uint16_t narrow_to_bfloat16(float value);

// The tensor's elements as `dtype`, row after row without gaps.
[[nodiscard]] std::vector<std::byte> convert(const HostTensor& tensor, DType dtype);

}  // namespace quire::engine
