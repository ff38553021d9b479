#include "engine/backend/cpu/kv_pages.h"

#include <cstring>

#include "engine/backend/float_formats.h"
#include "engine/backend/kv_format.h"

namespace quire::engine::cpu {
namespace {

// Under int8 and fp8: a code per number and the head's scale.
template <DType kType>
void write_coded_heads(const float* k, const float* v, const KvLayer& kv, std::int64_t slot) {
  constexpr auto kCode = kType == DType::kInt8 ? int8_code : fp8_code;
  std::byte* page = kv.pool + slot / kv.block_size * kv.page_bytes + kv.layer_offset;
  const std::int64_t in_block = slot % kv.block_size;
  for (std::int64_t head = 0; head < kv.num_kv_heads; ++head) {
    const KvScale k_scale = kv_scale(k, kv.head_dim, kType);
    const KvScale v_scale = kv_scale(v, kv.head_dim, kType);
    std::byte* tile = page + subtile_offset(kv, head, in_block);
    auto* keys = reinterpret_cast<std::uint8_t*>(tile) + in_block % kSubtile;
    auto* values =
        reinterpret_cast<std::uint8_t*>(tile + kv.part_bytes) + in_block % kSubtile * kv.head_dim;
    for (std::int64_t d = 0; d < kv.head_dim; ++d)
      keys[d * kSubtile] = kCode(k[d] * k_scale.inverse);
    for (std::int64_t d = 0; d < kv.head_dim; ++d) values[d] = kCode(v[d] * v_scale.inverse);
    std::byte* scale = page + kv.scale_offset(head, in_block);
    std::memcpy(scale, &k_scale.bits, sizeof k_scale.bits);
    std::memcpy(scale + kv.part_bytes, &v_scale.bits, sizeof v_scale.bits);
    k += kv.head_dim;
    v += kv.head_dim;
  }
}

template <typename Element, Element (*kRound)(float)>
void write_heads(const float* k, const float* v, const KvLayer& kv, std::int64_t slot) {
  std::byte* page = kv.pool + slot / kv.block_size * kv.page_bytes + kv.layer_offset;
  const std::int64_t in_block = slot % kv.block_size;
  for (std::int64_t head = 0; head < kv.num_kv_heads; ++head) {
    std::byte* part = page + subtile_offset(kv, head, in_block);
    auto* keys = reinterpret_cast<Element*>(part) + in_block % kSubtile;
    auto* values =
        reinterpret_cast<Element*>(part + kv.part_bytes) + in_block % kSubtile * kv.head_dim;
    for (std::int64_t d = 0; d < kv.head_dim; ++d) keys[d * kSubtile] = kRound(k[d]);
    for (std::int64_t d = 0; d < kv.head_dim; ++d) values[d] = kRound(v[d]);
    k += kv.head_dim;
    v += kv.head_dim;
  }
}

float same(float value) { return value; }

}  // namespace

void write_token(const float* k, const float* v, const KvLayer& kv, std::int64_t slot) {
  DCHECK(slot >= 0);
  switch (kv.dtype) {
    case DType::kFloat16:
      return write_heads<std::uint16_t, float_to_float16>(k, v, kv, slot);
    case DType::kBFloat16:
      return write_heads<std::uint16_t, float_to_bfloat16>(k, v, kv, slot);
    case DType::kInt8:
      return write_coded_heads<DType::kInt8>(k, v, kv, slot);
    case DType::kFp8E4M3:
      return write_coded_heads<DType::kFp8E4M3>(k, v, kv, slot);
    default:
      return write_heads<float, same>(k, v, kv, slot);
  }
}

void rotate_token(float* x, std::int64_t cols, std::int32_t head_dim, const RopeTable& rope,
                  std::int64_t position) {
  const std::int64_t half = rope.rotary_dim / 2;
  const float* cosines = rope.cos_sin + position * rope.rotary_dim;
  const float* sines = cosines + half;
  for (float* head = x; head < x + cols; head += head_dim) {
    for (std::int64_t i = 0; i < half; ++i) {
      const float first = head[i];
      const float second = head[i + half];
      head[i] = first * cosines[i] - second * sines[i];
      head[i + half] = second * cosines[i] + first * sines[i];
    }
  }
}

}  // namespace quire::engine::cpu
