#include "engine/backend/cpu/packed_weight.h"

#include <algorithm>
#include <cstring>

namespace quire::engine::cpu {
namespace {

// Where column j of a line lies, in elements.
std::int64_t place_in_line(std::int64_t column, DType dtype) {
  if (dtype != DType::kBFloat16) return column;
  return column < 16 ? 2 * column : 2 * (column - 16) + 1;
}

// The part that holds stacked row `row`, and the row's number inside it.
struct PartRow {
  const HostTensor* part;
  std::int64_t row;
};

PartRow find_row(std::span<const HostTensor> parts, std::int64_t row) {
  for (const HostTensor& part : parts) {
    if (row < part.rows) return {&part, row};
    row -= part.rows;
  }
  CHECK(false);
  return {};
}

// One column of a panel over ks [begin, end), `Word` being as wide as an element.
template <typename Word>
void pack_column(const std::byte* source, std::int64_t stride, std::int64_t count,
                 std::byte* target) {
  for (std::int64_t k = 0; k < count; ++k) {
    std::memcpy(target, source, sizeof(Word));
    source += stride;
    target += kPanelColumns * static_cast<std::int64_t>(sizeof(Word));
  }
}

void pack_panel(std::span<const HostTensor> parts, const StackedShape& shape, std::int64_t panel,
                std::byte* out) {
  constexpr std::int64_t kDepth = 128;  // of k at a time: the lines stay in L1 for all 32 columns
  const std::int64_t element = dtype_bytes(shape.dtype);
  const std::int64_t columns = std::min(kPanelColumns, shape.rows - panel * kPanelColumns);
  for (std::int64_t k = 0; k < shape.cols; k += kDepth) {
    const std::int64_t depth = std::min(kDepth, shape.cols - k);
    for (std::int64_t j = 0; j < columns; ++j) {
      const auto [part, row] = find_row(parts, panel * kPanelColumns + j);
      const std::byte* source =
          part->data + (row * part->row_stride + k * part->col_stride) * element;
      std::byte* target =
          out + k * line_bytes(shape.dtype) + place_in_line(j, shape.dtype) * element;
      if (element == 4) {
        pack_column<std::uint32_t>(source, part->col_stride * element, depth, target);
      } else {
        pack_column<std::uint16_t>(source, part->col_stride * element, depth, target);
      }
    }
  }
}

}  // namespace

PackedWeight::PackedWeight(std::span<const HostTensor> parts, ThreadPool& pool)
    : shape_(stacked_shape(parts)), memory_(num_panels() * shape_.cols * line()) {
  const std::int64_t panel_bytes = shape_.cols * line();
  pool.run(num_panels(), [&](const WorkItem& item) {
    pack_panel(parts, shape_, item.index, memory_.data() + item.index * panel_bytes);
  });
}

void PackedWeight::copy_row(std::int64_t row, float* out) const {
  const std::byte* source =
      at(row / kPanelColumns, 0) +
      place_in_line(row % kPanelColumns, shape_.dtype) * dtype_bytes(shape_.dtype);
  for (std::int64_t k = 0; k < shape_.cols; ++k) {
    out[k] = load_float(source, shape_.dtype);
    source += line();
  }
}

}  // namespace quire::engine::cpu
