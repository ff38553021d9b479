#include "engine/backend/cpu/packed_weight.h"

#include <algorithm>
#include <cstring>

#include "engine/backend/cpu/panel_packer.h"

namespace quire::engine::cpu {
namespace {

// Lets go what has been read of the stacked rows [begin, end). Rows of a transposed part lie all
// over it: it goes with its last row.
void let_go(std::span<const HostTensor> parts, std::int64_t begin, std::int64_t end) {
  for (const HostTensor& part : parts) {
    const std::int64_t first = std::max<std::int64_t>(begin, 0);
    const std::int64_t last = std::min(end, part.rows);
    const std::int64_t row_bytes = part.cols * dtype_bytes(part.dtype);
    if (first < last && part.let_go != nullptr) {
      if (part.col_stride == 1 && part.row_stride == part.cols) {
        part.let_go(part.data + first * row_bytes, (last - first) * row_bytes);
      } else if (last == part.rows) {
        part.let_go(part.data, part.rows * row_bytes);
      }
    }
    begin -= part.rows;
    end -= part.rows;
  }
}

StackedShape packed_shape(std::span<const HostTensor> parts, DType dtype) {
  StackedShape shape = stacked_shape(parts);
  shape.dtype = dtype;
  return shape;
}

}  // namespace

PackedWeight::PackedWeight(std::span<const HostTensor> parts, DType dtype, const Kernels& kernels,
                           ThreadPool& pool)
    : shape_(packed_shape(parts, dtype)) {
  const LinearKernels& format = kernels.linear[static_cast<int>(dtype)];
  num_units_ = format.units(shape_.cols);
  unit_bytes_ = format.unit_bytes;
  paired_ = format.paired;
  const std::int64_t panel_bytes = num_units_ * unit_bytes_;
  memory_ = HostMemory(num_panels() * panel_bytes);
  const PanelPacker packer(parts, shape_, kernels);
  const std::int64_t slice = std::max<std::int64_t>(kSlice / panel_bytes, pool.num_threads());
  for (std::int64_t first = 0; first < num_panels(); first += slice) {
    const std::int64_t count = std::min(slice, num_panels() - first);
    pool.run(count, [&](const WorkItem& item) {
      const std::int64_t panel = first + item.index;
      packer.pack(panel, memory_.data() + panel * panel_bytes);
    });
    let_go(parts, first * kPanelColumns, (first + count) * kPanelColumns);
  }
}

void PackedWeight::copy_row(std::int64_t row, float* out) const {
  if (shape_.dtype == DType::kInt8) return copy_int8_row(row, out);
  if (paired_) return copy_paired_row(row, out);
  const std::byte* source =
      at(row / kPanelColumns, 0) +
      place_in_line(row % kPanelColumns, shape_.dtype) * dtype_bytes(shape_.dtype);
  for (std::int64_t k = 0; k < shape_.cols; ++k) {
    out[k] = load_float(source, shape_.dtype);
    source += unit_bytes_;
  }
}

void PackedWeight::copy_paired_row(std::int64_t row, float* out) const {
  for (std::int64_t k = 0; k < shape_.cols; ++k) {
    const std::byte* unit = at(row / kPanelColumns, k / kSplitUnit);
    out[k] =
        load_float(unit + place_of_pair(k % kSplitUnit, row % kPanelColumns), DType::kBFloat16);
  }
}

void PackedWeight::copy_int8_row(std::int64_t row, float* out) const {
  const std::int64_t column = row % kPanelColumns;
  for (std::int64_t k = 0; k < shape_.cols; ++k) {
    const std::byte* unit = at(row / kPanelColumns, k / kInt8Group);
    const std::byte* scale = unit + place_of_int8_scale(column);
    const int value = static_cast<int>(unit[place_of_int8(k % kInt8Group, column)]) - 128;
    out[k] = static_cast<float>(value) * load_float(scale, DType::kBFloat16);
  }
}

}  // namespace quire::engine::cpu
