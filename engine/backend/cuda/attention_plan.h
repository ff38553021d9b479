#pragma once
// AttentionPlan: one step's attention as work items for blocks of threads.
//
// A sequence with at most kWarpRows query rows per KV head (a decode) is cut into one item per
// split of its keys, each of which leaves a partial result, and one merge; where the partial
// results' room is used up, or there is one split only, into one item that walks and merges its
// splits itself. A longer chunk is cut into tiles of query rows, each of which walks its splits.
// All of them do the same arithmetic (schedule.h), so which one a sequence gets does not change its
// bits. Vectors are reserved at construction; plan() allocates nothing. Not thread-safe.

#include <cstdint>
#include <vector>

#include "engine/backend/cuda/quire_cuda_abi.h"
#include "engine/batch_input.h"

namespace quire::engine::cuda {

struct AttentionLimits {
  std::int64_t max_tokens = 0;
  std::int64_t max_rows = 0;
  std::int32_t partial_slots = 0;
};

// What of a model's attention the work depends on. window 0: full.
struct AttentionKind {
  std::int32_t num_heads = 0;
  std::int32_t num_kv_heads = 0;
  std::int32_t window = 0;
  [[nodiscard]] std::int32_t group() const { return num_heads / num_kv_heads; }
};

class AttentionPlan final {
 public:
  explicit AttentionPlan(const AttentionLimits& limits);

  void plan(const BatchInput& batch, const AttentionKind& kind);

  [[nodiscard]] const std::vector<QuireCudaAttentionItem>& decode_items() const {
    return decode_items_;
  }
  [[nodiscard]] const std::vector<QuireCudaAttentionItem>& tile_items() const {
    return tile_items_;
  }
  [[nodiscard]] const std::vector<QuireCudaAttentionMerge>& merges() const { return merges_; }

  // The most that plan() can make, for buffers.
  [[nodiscard]] static std::int64_t max_decode_items(const AttentionLimits& limits);
  [[nodiscard]] static std::int64_t max_tile_items(const AttentionLimits& limits,
                                                   std::int32_t group);

 private:
  void plan_decode(QuireCudaAttentionItem item, std::int32_t first_split, std::int32_t end_split);

  AttentionLimits limits_;
  std::int32_t used_slots_ = 0;
  std::vector<QuireCudaAttentionItem> decode_items_;
  std::vector<QuireCudaAttentionItem> tile_items_;
  std::vector<QuireCudaAttentionMerge> merges_;
};

}  // namespace quire::engine::cuda
