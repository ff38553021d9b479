#pragma once
// BatchInput: one step's rows as flat arrays, the form that kernels (and a device upload) want.
//
// A view: the spans belong to whoever built it (ModelRunner) and are valid for one step.
//
//   token t of row r: query_start_loc[r] <= t < query_start_loc[r + 1]
//   its position:     positions[t]; it attends to positions 0 .. positions[t] of its own row
//   its slot:         slot_mapping[t] = block id * block_size + offset in the block
//   block b of row r: block_ids[block_start[r] + b]

#include <cstdint>
#include <span>

#include "engine/heartbeat.h"
#include "proto/types.h"

namespace quire::engine {

struct BatchInput {
  // [T]; -1 - k, for a backend that runs ahead: what sample k of the step before chose, or any
  // token where it chose none.
  std::span<const TokenId> token_ids;
  std::span<const std::int32_t> positions;        // [T]
  std::span<const std::int64_t> slot_mapping;     // [T]
  std::span<const std::int32_t> query_start_loc;  // [R + 1]
  std::span<const std::int32_t> context_lens;     // [R] tokens in the cache with this step's own
  std::span<const BlockId> block_ids;             // flat
  std::span<const std::int32_t> block_start;      // [R + 1]
  std::span<const std::int32_t> sample_tokens;    // [S] indices t whose hidden state is wanted
  Heartbeat* heartbeat = nullptr;                 // beaten after each layer; null: nobody watches

  [[nodiscard]] std::int64_t num_tokens() const {
    return static_cast<std::int64_t>(token_ids.size());
  }
  [[nodiscard]] std::int64_t num_rows() const {
    return static_cast<std::int64_t>(context_lens.size());
  }
};

}  // namespace quire::engine
