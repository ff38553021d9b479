#include <cstring>

#include "engine/backend/float_formats.h"
#include "engine/backend/reference/ops.h"

namespace quire::engine::reference {
namespace {

void rotate(float* x, const float* cosines, const float* sines, std::int32_t half) {
  for (std::int32_t i = 0; i < half; ++i) {
    const float first = x[i];
    const float second = x[i + half];
    x[i] = first * cosines[i] - second * sines[i];
    x[i + half] = second * cosines[i] + first * sines[i];
  }
}

}  // namespace

void rope(TensorView x, std::int32_t head_dim, const RopeTable& table,
          std::span<const std::int32_t> positions) {
  if (table.rotary_dim == 0) return;
  const std::int32_t half = table.rotary_dim / 2;
  for (std::int64_t t = 0; t < x.rows; ++t) {
    const std::int64_t position = positions[static_cast<std::size_t>(t)];
    const float* cosines = table.cos_sin + position * table.rotary_dim;
    for (std::int64_t c = 0; c < x.cols; c += head_dim) {
      rotate(x.row(t) + c, cosines, cosines + half, half);
    }
  }
}

namespace {

// One head of one token into a part of a page, [kv_head][slot][dim] and the scales.
void write_head(const float* x, const KvLayer& kv, std::int64_t head, std::int64_t slot,
                std::byte* part) {
  const std::int64_t element = dtype_bytes(kv.dtype);
  std::byte* target = part + (head * kv.block_size + slot) * kv.head_dim * element;
  if (!has_scales(kv.dtype)) {
    for (std::int32_t d = 0; d < kv.head_dim; ++d)
      store_float(target + d * element, kv.dtype, x[d]);
    return;
  }
  const KvScale scale = kv_scale(x, kv.head_dim, kv.dtype);
  for (std::int32_t d = 0; d < kv.head_dim; ++d) {
    target[d] = std::byte{kv_code(x[d] * scale.inverse, kv.dtype)};
  }
  std::memcpy(part + kv.scale_offset(head, slot), &scale.bits, sizeof scale.bits);
}

}  // namespace

void write_kv(TensorView k, TensorView v, const KvLayer& kv,
              std::span<const std::int64_t> slot_mapping) {
  for (std::int64_t t = 0; t < k.rows; ++t) {
    const std::int64_t slot = slot_mapping[static_cast<std::size_t>(t)];
    std::byte* page = kv.pool + slot / kv.block_size * kv.page_bytes + kv.layer_offset;
    for (std::int64_t head = 0; head < kv.num_kv_heads; ++head) {
      const std::int64_t column = head * kv.head_dim;
      write_head(k.row(t) + column, kv, head, slot % kv.block_size, page);
      write_head(v.row(t) + column, kv, head, slot % kv.block_size, page + kv.part_bytes);
    }
  }
}

}  // namespace quire::engine::reference
