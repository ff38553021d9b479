#include "engine/backend/cpu/panel_packer.h"

#include <algorithm>
#include <cstring>

namespace quire::engine::cpu {
namespace {

constexpr std::int64_t kDepth = 256;  // of k at a time: the lines stay in cache for all 32 columns
static_assert(kDepth % kInt8Group == 0 && kDepth % kSplitUnit == 0);

// A column of a panel, `Word` being as wide as an element.
template <typename Word>
void copy_column(const std::byte* source, std::int64_t stride, std::int64_t count,
                 std::byte* target) {
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(Word));
  for (std::int64_t k = 0; k < count; ++k) {
    std::memcpy(target, source, sizeof(Word));
    source += stride * kSize;
    target += kPanelColumns * kSize;
  }
}

// A unit's bytes hold the weight + 128, which flips the sign bit.
constexpr std::uint32_t kOffset = 0x80808080u;

}  // namespace

PanelPacker::Source PanelPacker::row(std::int64_t stacked_row) const {
  for (const HostTensor& part : parts_) {
    if (stacked_row < part.rows) {
      return {.data = part.data + stacked_row * part.row_stride * dtype_bytes(part.dtype),
              .dtype = part.dtype,
              .stride = part.col_stride};
    }
    stacked_row -= part.rows;
  }
  CHECK(false);
  return {};
}

void PanelPacker::pack(std::int64_t panel, std::byte* out) const {
  const std::int64_t columns = std::min(kPanelColumns, shape_.rows - panel * kPanelColumns);
  const bool paired = kernels_.linear[static_cast<int>(shape_.dtype)].paired;
  for (std::int64_t k = 0; k < shape_.cols; k += kDepth) {
    const std::int64_t depth = std::min(kDepth, shape_.cols - k);
    for (std::int64_t column = 0; column < columns; ++column) {
      const Source source = row(panel * kPanelColumns + column);
      if (shape_.dtype == DType::kInt8) {
        pack_int8(source, column, k, depth, out);
      } else if (paired) {
        pack_pairs(source, column, k, depth, out);
      } else {
        pack_floats(source, column, k, depth, out);
      }
    }
  }
}

void PanelPacker::pack_floats(const Source& source, std::int64_t column, std::int64_t first,
                              std::int64_t count, std::byte* out) const {
  const std::int64_t element = dtype_bytes(shape_.dtype);
  const std::byte* from = source.data + first * source.stride * dtype_bytes(source.dtype);
  std::byte* target =
      out + first * line_bytes(shape_.dtype) + place_in_line(column, shape_.dtype) * element;
  if (source.dtype == shape_.dtype && element == 4) {
    copy_column<std::uint32_t>(from, source.stride, count, target);
  } else if (source.dtype == shape_.dtype) {
    copy_column<std::uint16_t>(from, source.stride, count, target);
  } else {
    for (std::int64_t k = 0; k < count; ++k) {
      store_float(target, shape_.dtype, load_float(from, source.dtype));
      from += source.stride * dtype_bytes(source.dtype);
      target += line_bytes(shape_.dtype);
    }
  }
}

void PanelPacker::pack_pairs(const Source& source, std::int64_t column, std::int64_t first,
                             std::int64_t count, std::byte* out) const {
  const std::int64_t step = source.stride * dtype_bytes(source.dtype);
  const std::byte* from = source.data + first * step;
  std::byte* target = out + first / kSplitUnit * kSplitUnitBytes;
  for (std::int64_t left = count; left > 0; left -= kSplitUnit, target += kSplitUnitBytes) {
    const std::int64_t here = std::min(left, kSplitUnit);
    if (source.dtype == DType::kBFloat16 && source.stride == 1 && here == kSplitUnit) {
      for (std::int64_t k = 0; k < kSplitUnit; k += 2, from += 2 * step) {
        std::memcpy(target + place_of_pair(k, column), from, sizeof(std::uint32_t));
      }
      continue;
    }
    for (std::int64_t k = 0; k < here; ++k, from += step) {
      store_float(target + place_of_pair(k, column), DType::kBFloat16,
                  load_float(from, source.dtype));
    }
  }
}

void PanelPacker::pack_int8(const Source& source, std::int64_t column, std::int64_t first,
                            std::int64_t count, std::byte* out) const {
  const std::int64_t element = dtype_bytes(source.dtype);
  const std::byte* from = source.data + first * source.stride * element;
  float values[kDepth] = {};
  if (source.stride == 1) {
    kernels_.widen[static_cast<int>(source.dtype)](from, count, values);
  } else {
    for (std::int64_t k = 0; k < count; ++k) {
      values[k] = load_float(from + k * source.stride * element, source.dtype);
    }
  }
  signed char q[kDepth];
  float scales[kDepth / kInt8Group];
  kernels_.quantise_weights(values, count, q, scales);
  for (std::int64_t group = 0; group < int8_groups(count); ++group) {
    std::byte* unit = out + (first / kInt8Group + group) * kInt8UnitBytes;
    for (std::int64_t k = 0; k < kInt8Group; k += 4) {
      std::uint32_t quad = 0;
      std::memcpy(&quad, q + group * kInt8Group + k, sizeof quad);
      quad ^= kOffset;
      std::memcpy(unit + place_of_int8(k, column), &quad, sizeof quad);
    }
    store_float(unit + place_of_int8_scale(column), DType::kBFloat16, scales[group]);
  }
}

}  // namespace quire::engine::cpu
