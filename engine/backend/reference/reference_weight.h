#pragma once
// ReferenceWeight: a matrix as the plain loops read it, row-major: float32, or int8 with scales.
//
// Half-precision types are widened. Immutable after construction.

#include <span>

#include "engine/backend/backend.h"
#include "engine/backend/host_memory.h"
#include "engine/backend/int8_format.h"
#include "engine/backend/reference/ops.h"
#include "engine/backend/stacked_tensors.h"

namespace quire::engine::reference {

class ReferenceWeight final : public Weight {
 public:
  ReferenceWeight(std::span<const HostTensor> parts, DType dtype);

  [[nodiscard]] std::int64_t rows() const override { return shape_.rows; }
  [[nodiscard]] std::int64_t cols() const override { return shape_.cols; }
  [[nodiscard]] std::int64_t bytes() const override { return values_.bytes() + scales_.bytes(); }

  [[nodiscard]] bool is_int8() const { return shape_.dtype == DType::kInt8; }
  [[nodiscard]] DenseMatrix dense() const {
    CHECK(!is_int8());
    return {.data = values_.floats(), .rows = shape_.rows, .cols = shape_.cols};
  }
  [[nodiscard]] Int8Matrix int8() const {
    CHECK(is_int8());
    return {.values = reinterpret_cast<const std::int8_t*>(values_.data()),
            .scales = scales_.floats(),
            .rows = shape_.rows,
            .cols = shape_.cols};
  }

 private:
  void narrow(std::span<const HostTensor> parts, DType dtype);
  void quantise();

  StackedShape shape_;
  HostMemory values_;
  HostMemory scales_;  // int8 only
};

}  // namespace quire::engine::reference
