#pragma once
// Random matrices, weights in every dtype and views of them, for the backend's tests.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/backend/float_formats.h"
#include "engine/tensor.h"

namespace quire::engine::testing {

// Rows of floats with a stride of their own, NaN between them so that a stray read shows.
class Matrix {
 public:
  Matrix(std::int64_t rows, std::int64_t cols, std::int64_t padding = 0)
      : rows_(rows), cols_(cols), stride_(cols + padding) {
    values_.assign(static_cast<std::size_t>(rows * stride_) + 1,
                   std::numeric_limits<float>::quiet_NaN());
    for (std::int64_t r = 0; r < rows; ++r) std::fill_n(row(r), cols, 0.0f);
  }
  static Matrix random(std::int64_t rows, std::int64_t cols, std::mt19937& random,
                       std::int64_t padding = 0, float size = 1.0f) {
    Matrix matrix(rows, cols, padding);
    std::normal_distribution<float> normal(0.0f, size);
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < cols; ++c) matrix.row(r)[c] = normal(random);
    }
    return matrix;
  }

  [[nodiscard]] float* row(std::int64_t r) { return values_.data() + r * stride_; }
  [[nodiscard]] const float* row(std::int64_t r) const { return values_.data() + r * stride_; }
  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t cols() const { return cols_; }
  [[nodiscard]] TensorView view() { return rows_of(0, rows_); }
  [[nodiscard]] TensorView rows_of(std::int64_t begin, std::int64_t count) {
    return {.data = values_.data() + begin * stride_,
            .dtype = DType::kFloat32,
            .rows = count,
            .cols = cols_,
            .row_stride = stride_};
  }
  [[nodiscard]] bool same_bits(const Matrix& other) const {
    for (std::int64_t r = 0; r < rows_; ++r) {
      if (!same_row(r, other, r)) return false;
    }
    return rows_ == other.rows_ && cols_ == other.cols_;
  }
  [[nodiscard]] bool same_row(std::int64_t r, const Matrix& other, std::int64_t other_r) const {
    return std::memcmp(row(r), other.row(other_r), sizeof(float) * cols_) == 0;
  }
  // The largest difference, relative to the larger of 1 and the values' own size.
  [[nodiscard]] double distance(const Matrix& other) const {
    double largest = 0.0;
    double size = 1.0;
    for (std::int64_t r = 0; r < rows_; ++r) {
      for (std::int64_t c = 0; c < cols_; ++c) {
        const double difference = std::abs(double{row(r)[c]} - double{other.row(r)[c]});
        if (!(difference <= largest)) largest = difference;  // NaN counts as large
        size = std::max(size, std::abs(double{row(r)[c]}));
      }
    }
    return largest / size;
  }

 private:
  std::int64_t rows_;
  std::int64_t cols_;
  std::int64_t stride_;
  std::vector<float> values_;
};

// A weight as it would lie in a file: at an odd address, possibly transposed.
class FileTensor {
 public:
  FileTensor(const Matrix& values, DType dtype, bool transposed = false)
      : dtype_(dtype), transposed_(transposed), rows_(values.rows()), cols_(values.cols()) {
    const std::int64_t element = dtype_bytes(dtype);
    bytes_.resize(static_cast<std::size_t>(rows_ * cols_ * element) + 1);
    for (std::int64_t r = 0; r < rows_; ++r) {
      for (std::int64_t c = 0; c < cols_; ++c) {
        const std::int64_t at = transposed ? c * rows_ + r : r * cols_ + c;
        store_float(bytes_.data() + 1 + at * element, dtype, values.row(r)[c]);
      }
    }
  }
  [[nodiscard]] HostTensor tensor() const {
    return {.data = bytes_.data() + 1,
            .dtype = dtype_,
            .rows = rows_,
            .cols = cols_,
            .row_stride = transposed_ ? 1 : cols_,
            .col_stride = transposed_ ? rows_ : 1};
  }

 private:
  DType dtype_;
  bool transposed_;
  std::int64_t rows_;
  std::int64_t cols_;
  std::vector<std::byte> bytes_;
};

// The CPU backends that this processor runs: AVX2, AVX-512 and AMX with 1, 2 and 3 threads,
// AVX-VNNI.
struct CpuVariant {
  const char* isa;
  int threads;
};
std::vector<CpuVariant> cpu_variants();

}  // namespace quire::engine::testing
