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

// Pages are [kv_head][slot][dim], K and V alike.
void write_kv(TensorView k, TensorView v, const KvLayer& kv,
              std::span<const std::int64_t> slot_mapping) {
  const std::int64_t element = dtype_bytes(kv.dtype);
  for (std::int64_t t = 0; t < k.rows; ++t) {
    const std::int64_t slot = slot_mapping[static_cast<std::size_t>(t)];
    std::byte* page = kv.pool + slot / kv.block_size * kv.page_bytes + kv.layer_offset;
    for (std::int32_t head = 0; head < kv.num_kv_heads; ++head) {
      const std::int64_t at =
          (static_cast<std::int64_t>(head) * kv.block_size + slot % kv.block_size) * kv.head_dim;
      for (std::int32_t d = 0; d < kv.head_dim; ++d) {
        const std::int64_t column = static_cast<std::int64_t>(head) * kv.head_dim + d;
        std::byte* target = page + (at + d) * element;
        store_float(target, kv.dtype, k.row(t)[column]);
        store_float(target + kv.part_bytes, kv.dtype, v.row(t)[column]);
      }
    }
  }
}

}  // namespace quire::engine::reference
