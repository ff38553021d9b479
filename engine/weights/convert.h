#pragma once
// Conversion of weights between float32, float16 and bfloat16, for --dtype.
//
// Narrowing rounds to the nearest, ties to even; what is too large becomes infinity
// (backend/float_formats.h). A pure function.

#include <cstddef>
#include <vector>

#include "engine/tensor.h"

namespace quire::engine {

// The tensor's elements as `dtype`, row after row without gaps.
[[nodiscard]] std::vector<std::byte> convert(const HostTensor& tensor, DType dtype);

}  // namespace quire::engine
