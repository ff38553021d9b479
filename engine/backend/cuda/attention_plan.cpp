#include "engine/backend/cuda/attention_plan.h"

#include "engine/backend/cuda/schedule.h"

namespace quire::engine::cuda {

namespace {

constexpr std::int32_t kTileRows = kWarpRows * kTileWarps;

}  // namespace

AttentionPlan::AttentionPlan(const AttentionLimits& limits) : limits_(limits) {
  decode_items_.reserve(static_cast<std::size_t>(max_decode_items(limits)));
  merges_.reserve(static_cast<std::size_t>(limits.max_rows));
}

std::int64_t AttentionPlan::max_decode_items(const AttentionLimits& limits) {
  return limits.max_rows + limits.partial_slots;
}

// Each of at most max_rows chunks ends in one tile that is not full.
std::int64_t AttentionPlan::max_tile_items(const AttentionLimits& limits, std::int32_t group) {
  return limits.max_tokens * group / kTileRows + limits.max_rows;
}

void AttentionPlan::plan(const BatchInput& batch, const AttentionKind& kind) {
  decode_items_.clear();
  tile_items_.clear();
  merges_.clear();
  used_slots_ = 0;
  tile_items_.reserve(static_cast<std::size_t>(max_tile_items(limits_, kind.group())));
  for (std::size_t r = 0; r < static_cast<std::size_t>(batch.num_rows()); ++r) {
    const std::int32_t begin = batch.query_start_loc[r];
    const std::int32_t tokens = batch.query_start_loc[r + 1] - begin;
    if (tokens == 0) continue;
    const std::int32_t first = batch.context_lens[r] - tokens;
    QuireCudaAttentionItem item{.token_begin = begin,
                                .num_tokens = tokens,
                                .first_row = 0,
                                .block_begin = batch.block_start[r],
                                .first_position = first,
                                .split_begin = 0,
                                .split_end = 0,
                                .partial = -1};
    const std::int32_t rows = rows_of_chunk(tokens, kind.group());
    if (rows <= kWarpRows) {
      plan_decode(item, split_of(first_key(first, kind.window)), split_of(first + tokens - 1) + 1);
      continue;
    }
    for (; item.first_row < rows; item.first_row += kTileRows) {
      const std::int32_t last_row = smaller(item.first_row + kTileRows, rows) - 1;
      const std::int32_t oldest = first + token_of_row(item.first_row, kind.group());
      const std::int32_t newest = first + token_of_row(last_row, kind.group());
      item.split_begin = split_of(first_key(oldest, kind.window));
      item.split_end = split_of(newest) + 1;
      tile_items_.push_back(item);
    }
  }
}

void AttentionPlan::plan_decode(QuireCudaAttentionItem item, std::int32_t first_split,
                                std::int32_t end_split) {
  const std::int32_t splits = end_split - first_split;
  if (splits == 1 || used_slots_ + splits > limits_.partial_slots) {
    item.split_begin = first_split;
    item.split_end = end_split;
    decode_items_.push_back(item);
    return;
  }
  merges_.push_back({.token_begin = item.token_begin,
                     .num_tokens = item.num_tokens,
                     .first_position = item.first_position,
                     .split_begin = first_split,
                     .partial = used_slots_,
                     .unused = 0});
  for (std::int32_t split = first_split; split < end_split; ++split) {
    item.split_begin = split;
    item.split_end = split + 1;
    item.partial = used_slots_++;
    decode_items_.push_back(item);
  }
}

}  // namespace quire::engine::cuda
