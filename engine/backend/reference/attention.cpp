#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/backend/float_formats.h"
#include "engine/backend/reference/ops.h"

namespace quire::engine::reference {
namespace {

// The keys and values of one sequence under one KV head, by position.
struct Keys {
  const KvLayer& kv;
  const BlockId* blocks;
  std::int64_t head;

  // The K part of the page that holds `position`.
  [[nodiscard]] const std::byte* part(std::int64_t position) const {
    const auto block = static_cast<std::int64_t>(blocks[position / kv.block_size]);
    return kv.pool + block * kv.page_bytes + kv.layer_offset;
  }
  [[nodiscard]] const std::byte* key(std::int64_t position) const {
    const std::int64_t at =
        (head * kv.block_size + position % kv.block_size) * kv.head_dim * dtype_bytes(kv.dtype);
    return part(position) + at;
  }
  [[nodiscard]] const std::byte* value(std::int64_t position) const {
    return key(position) + kv.part_bytes;
  }
  // What the numbers of key() are multiplied with; 1 where the page has no scales.
  [[nodiscard]] float key_scale(std::int64_t position) const {
    return scale_at(part(position), position);
  }
  [[nodiscard]] float value_scale(std::int64_t position) const {
    return scale_at(part(position) + kv.part_bytes, position);
  }

 private:
  [[nodiscard]] float scale_at(const std::byte* begin, std::int64_t position) const {
    if (!has_scales(kv.dtype)) return 1.0f;
    return load_float(begin + kv.scale_offset(head, position % kv.block_size), DType::kBFloat16);
  }
};

// Element d of a head in a page.
float number_at(const std::byte* head, std::int64_t d, DType dtype) {
  if (has_scales(dtype)) return kv_number(std::to_integer<std::uint8_t>(head[d]), dtype);
  return load_float(head + d * dtype_bytes(dtype), dtype);
}

float score(const float* q, const Keys& keys, std::int64_t position, float scale) {
  const std::byte* key = keys.key(position);
  float sum = 0.0f;
  for (std::int64_t d = 0; d < keys.kv.head_dim; ++d) {
    sum += q[d] * scale * number_at(key, d, keys.kv.dtype);
  }
  return sum * keys.key_scale(position);
}

// The running softmax of one query: the output so far is out / total, relative to exp(maximum).
struct Softmax {
  float maximum = -std::numeric_limits<float>::infinity();
  float total = 0.0f;
};

// Takes in the keys [begin, end), which lie in one tile.
void attend_tile(const float* q, const Keys& keys, std::int64_t begin, std::int64_t end,
                 float scale, Softmax& state, float* out) {
  std::array<float, kKeyTile> scores;
  float maximum = state.maximum;
  for (std::int64_t p = begin; p < end; ++p) {
    scores[static_cast<std::size_t>(p - begin)] = score(q, keys, p, scale);
    maximum = std::max(maximum, scores[static_cast<std::size_t>(p - begin)]);
  }
  const float shrink = std::exp(state.maximum - maximum);
  state.maximum = maximum;
  state.total *= shrink;
  for (std::int64_t d = 0; d < keys.kv.head_dim; ++d) out[d] *= shrink;
  for (std::int64_t p = begin; p < end; ++p) {
    const float weight = std::exp(scores[static_cast<std::size_t>(p - begin)] - maximum);
    const std::byte* value = keys.value(p);
    state.total += weight;
    const float scaled = weight * keys.value_scale(p);
    for (std::int64_t d = 0; d < keys.kv.head_dim; ++d) {
      out[d] += scaled * number_at(value, d, keys.kv.dtype);
    }
  }
}

// One query at `position` over all the keys it may see.
void attend(const float* q, const Keys& keys, std::int64_t position, const AttentionParams& params,
            float* out) {
  const std::int64_t first =
      params.window > 0 ? std::max<std::int64_t>(0, position - params.window + 1) : 0;
  Softmax state;
  std::fill(out, out + keys.kv.head_dim, 0.0f);
  for (std::int64_t begin = first; begin <= position;) {
    const std::int64_t end = std::min((begin / kKeyTile + 1) * kKeyTile, position + 1);
    attend_tile(q, keys, begin, end, params.scale, state, out);
    begin = end;
  }
  for (std::int64_t d = 0; d < keys.kv.head_dim; ++d) out[d] /= state.total;
}

}  // namespace

void attention(TensorView q, const KvLayer& kv, const AttentionParams& params,
               const BatchInput& batch, TensorView out) {
  const std::int64_t group = params.num_heads / kv.num_kv_heads;
  for (std::size_t r = 0; r < static_cast<std::size_t>(batch.num_rows()); ++r) {
    const BlockId* blocks = batch.block_ids.data() + batch.block_start[r];
    for (std::int64_t t = batch.query_start_loc[r]; t < batch.query_start_loc[r + 1]; ++t) {
      for (std::int64_t head = 0; head < params.num_heads; ++head) {
        const Keys keys{.kv = kv, .blocks = blocks, .head = head / group};
        attend(q.row(t) + head * kv.head_dim, keys, batch.positions[static_cast<std::size_t>(t)],
               params, out.row(t) + head * kv.head_dim);
      }
    }
  }
}

}  // namespace quire::engine::reference
