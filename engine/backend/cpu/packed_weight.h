#pragma once
// PackedWeight: a matrix in the order in which the product reads it.
//
// [panel][k][32 columns]: a panel is 32 output features, padded with zeros at the end; one k of it
// is a line. A bfloat16 line is 64 bytes: word j holds column j in its lower and column j + 16 in
// its upper half, so that widening is one shift and one AND. float16 and float32 lines hold the
// columns in order. Immutable after construction.

#include <cstdint>
#include <span>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/kernels.h"
#include "engine/backend/cpu/thread_pool.h"
#include "engine/backend/host_memory.h"
#include "engine/backend/stacked_tensors.h"

namespace quire::engine::cpu {

class PackedWeight final : public Weight {
 public:
  // Packs on the pool's threads.
  PackedWeight(std::span<const HostTensor> parts, ThreadPool& pool);

  [[nodiscard]] std::int64_t rows() const override { return shape_.rows; }
  [[nodiscard]] std::int64_t cols() const override { return shape_.cols; }
  [[nodiscard]] std::int64_t bytes() const override { return memory_.bytes(); }

  [[nodiscard]] DType dtype() const { return shape_.dtype; }
  [[nodiscard]] std::int64_t num_panels() const {
    return (shape_.rows + kPanelColumns - 1) / kPanelColumns;
  }
  [[nodiscard]] std::int64_t line() const { return line_bytes(shape_.dtype); }
  // Line k of a panel.
  [[nodiscard]] const std::byte* at(std::int64_t panel, std::int64_t k) const {
    return memory_.data() + (panel * shape_.cols + k) * line();
  }
  // Row `row`, widened to float32.
  void copy_row(std::int64_t row, float* out) const;

 private:
  StackedShape shape_;
  HostMemory memory_;
};

}  // namespace quire::engine::cpu
