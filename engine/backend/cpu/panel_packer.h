#pragma once
// PanelPacker: writes one panel of a packed weight from the rows of a file.
//
// Borrows everything it is made with. pack() is const and may run on any thread.

#include <cstdint>
#include <span>

#include "engine/backend/cpu/kernels.h"
#include "engine/backend/split_format.h"
#include "engine/backend/stacked_tensors.h"
#include "engine/tensor.h"

namespace quire::engine::cpu {

// Where column `column` of a float line lies, in elements.
[[nodiscard]] constexpr std::int64_t place_in_line(std::int64_t column, DType dtype) {
  if (dtype != DType::kBFloat16) return column;
  return column < 16 ? 2 * column : 2 * (column - 16) + 1;
}
// Of a unit of bfloat16 pairs (packed_weight.h), in bytes: weight k of the unit.
[[nodiscard]] constexpr std::int64_t place_of_pair(std::int64_t k, std::int64_t column) {
  return column / 16 * (kSplitUnit * 16 * 2) + k / 2 * 64 + column % 16 * 4 + k % 2 * 2;
}
// Of an int8 unit, in bytes: weight k of the group, and a column's scale.
[[nodiscard]] constexpr std::int64_t place_of_int8(std::int64_t k, std::int64_t column) {
  return k / 4 * 4 * kPanelColumns + 4 * column + k % 4;
}
[[nodiscard]] constexpr std::int64_t place_of_int8_scale(std::int64_t column) {
  return kInt8Group * kPanelColumns + 2 * place_in_line(column, DType::kBFloat16);
}

class PanelPacker final {
 public:
  PanelPacker(std::span<const HostTensor> parts, const StackedShape& shape, const Kernels& kernels)
      : parts_(parts), shape_(shape), kernels_(kernels) {}

  // Writes panel `panel`. `out` is zeroed memory: columns beyond the last row stay so.
  void pack(std::int64_t panel, std::byte* out) const;

 private:
  // A row of the stack: its first element and how far the next one is.
  struct Source {
    const std::byte* data;
    DType dtype;
    std::int64_t stride;  // elements
  };

  [[nodiscard]] Source row(std::int64_t stacked_row) const;
  void pack_floats(const Source& source, std::int64_t column, std::int64_t first,
                   std::int64_t count, std::byte* out) const;
  void pack_pairs(const Source& source, std::int64_t column, std::int64_t first, std::int64_t count,
                  std::byte* out) const;
  void pack_int8(const Source& source, std::int64_t column, std::int64_t first, std::int64_t count,
                 std::byte* out) const;

  std::span<const HostTensor> parts_;
  StackedShape shape_;
  const Kernels& kernels_;
};

}  // namespace quire::engine::cpu
