#pragma once
// KvCacheSpec: how much memory a token's keys and values take, and where each layer lies in a page.
//
// A value derived from the model's configuration. A page holds `block_size` tokens of all layers of
// its group: [layer of the group][part][kv_head][tile]; parts are K and V, or the latent alone.
// 1. page_bytes is a multiple of kPageAlignment and the same for every group.
// 2. Layer l of a group starts at l * layer_bytes() inside the page.
// 3. Under int8 and fp8 a part ends with its scales, one per token and head: they move with the
// page.

#include <cstdint>
#include <vector>

#include "proto/types.h"

namespace quire::cache {

inline constexpr std::int64_t kPageAlignment = 4096;  // bytes: whole pages move between tiers

// Of one token and head, in a part of a page of this type.
[[nodiscard]] constexpr std::int64_t kv_scale_bytes(DType dtype) {
  return dtype == DType::kInt8 || dtype == DType::kFp8E4M3 ? 2 : 0;
}
// What one head of one token takes in a part: its numbers and their scale.
[[nodiscard]] constexpr std::int64_t kv_head_bytes(std::int64_t head_dim, DType dtype) {
  return head_dim * dtype_bytes(dtype) + kv_scale_bytes(dtype);
}

enum class AttentionKind : std::uint8_t { kFull, kSlidingWindow, kLatent };

// One group of layers that share an attention kind.
struct KvGroupSpec {
  AttentionKind kind = AttentionKind::kFull;
  std::int32_t num_layers = 0;
  std::int32_t num_kv_heads = 0;  // 1 for kLatent
  std::int32_t head_dim = 0;      // kLatent: kv_lora_rank + qk_rope_head_dim
  std::int32_t window = 0;        // tokens; kSlidingWindow only
  std::int32_t block_size = 16;   // tokens per block
  DType dtype = DType::kBFloat16;

  [[nodiscard]] std::int64_t parts() const { return kind == AttentionKind::kLatent ? 1 : 2; }
  // Bytes of one part (all K, or all V) of one layer in one page.
  [[nodiscard]] std::int64_t part_bytes() const {
    return static_cast<std::int64_t>(block_size) * num_kv_heads * kv_head_bytes(head_dim, dtype);
  }
  [[nodiscard]] std::int64_t layer_bytes() const { return parts() * part_bytes(); }
  [[nodiscard]] std::int64_t bytes_per_token() const {
    return num_layers * parts() * num_kv_heads * kv_head_bytes(head_dim, dtype);
  }
};

struct KvCacheSpec {
  std::vector<KvGroupSpec> groups;

  // The largest group's page, rounded up to kPageAlignment.
  [[nodiscard]] std::int64_t page_bytes() const;
  // The same groups with block sizes raised to powers of two times their own, so that each group's
  // page fills as much of the common page as it can. What is left over is padding.
  [[nodiscard]] KvCacheSpec with_equal_pages() const;
  // Over all groups: what one more token of context costs.
  [[nodiscard]] std::int64_t bytes_per_token() const;
};

}  // namespace quire::cache
