#pragma once
// PackedWeight: a matrix in the order in which the product reads it.
//
// [panel][unit of k][32 columns]: a panel is 32 output features, padded with zeros at the end.
// Of the float types a unit is one k, its 32 weights a line. A bfloat16 line is 64 bytes: word j
// holds column j in its lower and column j + 16 in its upper half, so that widening is one shift
// and one AND; float16 and float32 lines hold the columns in order. Under AMX a unit of bfloat16 is
// kSplitUnit k's in two tiles, and an int8 unit a group of kInt8Group k's (kernels.h: the layouts;
// split_format.h and int8_format.h: the arithmetic).
//
// The parts may be of any float type: packing converts. It goes on the pool's threads through the
// rows in slices, and lets each slice's source go (HostTensor::let_go): what is resident beside the
// packed weight is kSlice, whatever the size of the matrix.
// Immutable after construction.

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
  // dtype: kFloat32, kFloat16, kBFloat16 or kInt8.
  PackedWeight(std::span<const HostTensor> parts, DType dtype, const Kernels& kernels,
               ThreadPool& pool);

  [[nodiscard]] std::int64_t rows() const override { return shape_.rows; }
  [[nodiscard]] std::int64_t cols() const override { return shape_.cols; }
  [[nodiscard]] std::int64_t bytes() const override { return memory_.bytes(); }

  [[nodiscard]] DType dtype() const { return shape_.dtype; }
  [[nodiscard]] std::int64_t num_panels() const {
    return (shape_.rows + kPanelColumns - 1) / kPanelColumns;
  }
  [[nodiscard]] std::int64_t num_units() const { return num_units_; }
  [[nodiscard]] const std::byte* at(std::int64_t panel, std::int64_t unit) const {
    return memory_.data() + (panel * num_units_ + unit) * unit_bytes_;
  }
  // Row `row`, widened to float32.
  void copy_row(std::int64_t row, float* out) const;

 private:
  static constexpr std::int64_t kSlice = std::int64_t{4} << 20;  // bytes of packed panels

  void copy_paired_row(std::int64_t row, float* out) const;
  void copy_int8_row(std::int64_t row, float* out) const;

  StackedShape shape_;
  std::int64_t num_units_;
  std::int64_t unit_bytes_;
  bool paired_ = false;  // LinearKernels::paired
  HostMemory memory_;
};

}  // namespace quire::engine::cpu
