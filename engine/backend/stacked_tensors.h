#pragma once
// Host tensors put on top of each other along rows: what prepare_weight and prepare_vector take.
//
// Free functions; the parts belong to the caller. All parts have one number of columns (the models
// check shapes against the file; a misfit here is a broken invariant).

#include <cstdint>
#include <span>

#include "engine/backend/float_formats.h"
#include "engine/tensor.h"
#include "proto/check.h"

namespace quire::engine {

// dtype: the first part's.
struct StackedShape {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  DType dtype = DType::kFloat32;
};

[[nodiscard]] inline StackedShape stacked_shape(std::span<const HostTensor> parts) {
  CHECK(!parts.empty());
  StackedShape shape{.rows = 0, .cols = parts[0].cols, .dtype = parts[0].dtype};
  for (const HostTensor& part : parts) {
    CHECK(is_float(part.dtype));
    CHECK_EQ(part.cols, shape.cols);
    shape.rows += part.rows;
  }
  return shape;
}

// Writes the part row-major at `out`, widened to float32.
inline void widen_into(const HostTensor& part, float* out) {
  const std::int64_t element = dtype_bytes(part.dtype);
  for (std::int64_t r = 0; r < part.rows; ++r) {
    for (std::int64_t c = 0; c < part.cols; ++c) {
      const std::int64_t at = (r * part.row_stride + c * part.col_stride) * element;
      out[r * part.cols + c] = load_float(part.data + at, part.dtype);
    }
  }
}

// The number of elements of all parts (vectors may come as one row or as one column).
[[nodiscard]] inline std::int64_t total_elements(std::span<const HostTensor> parts) {
  std::int64_t size = 0;
  for (const HostTensor& part : parts) size += part.rows * part.cols;
  return size;
}

// All parts after one another, widened to float32.
inline void widen_all(std::span<const HostTensor> parts, float* out) {
  for (const HostTensor& part : parts) {
    CHECK(is_float(part.dtype));
    widen_into(part, out);
    out += part.rows * part.cols;
  }
}

}  // namespace quire::engine
