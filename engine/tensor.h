#pragma once
// Views of two-dimensional arrays: activations in backend memory, weights in a file.
//
// Plain values that own nothing; whoever made the memory outlives them.

#include <cstddef>
#include <cstdint>

#include "proto/check.h"
#include "proto/types.h"

namespace quire::engine {

// Activations: [rows, cols], row-major, in the backend's memory. CPU backends: float32 only.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::kFloat32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t row_stride = 0;  // elements between rows; >= cols

  [[nodiscard]] float* row(std::int64_t r) const {
    DCHECK(dtype == DType::kFloat32 && r >= 0 && r < rows);
    return static_cast<float*>(data) + r * row_stride;
  }
  // The first `n` rows.
  [[nodiscard]] TensorView head(std::int64_t n) const {
    CHECK(n >= 0 && n <= rows);
    TensorView view = *this;
    view.rows = n;
    return view;
  }
  // Columns [begin, begin + n) of every row.
  [[nodiscard]] TensorView columns(std::int64_t begin, std::int64_t n) const {
    CHECK(begin >= 0 && n >= 0 && begin + n <= cols);
    TensorView view = *this;
    view.data = static_cast<std::byte*>(data) + begin * dtype_bytes(dtype);
    view.cols = n;
    return view;
  }
};

// A weight as it lies in host memory (a mapped file): element (r, c) at r * row_stride +
// c * col_stride, in elements. GPT-2's transposed matrices are the same view with strides swapped.
// The data may be unaligned (safetensors headers have any length): read through memcpy.
struct HostTensor {
  const std::byte* data = nullptr;
  DType dtype = DType::kFloat32;
  std::int64_t rows = 0;  // output features (or words of the vocabulary); 1 for a vector
  std::int64_t cols = 0;  // input features
  std::int64_t row_stride = 0;
  std::int64_t col_stride = 1;
  // Says that `bytes` bytes at `data`, inside this tensor, have been read and will not be read
  // again: their memory may go (a mapped file's pages). Null: nothing to let go.
  void (*let_go)(const std::byte* data, std::int64_t bytes) = nullptr;
};

}  // namespace quire::engine
