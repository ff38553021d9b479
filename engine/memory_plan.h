#pragma once
// MemoryPlan: what a model and its KV cache need, before anything is loaded.
//
// A value: a function of the model's shape, the limits and the memory. The daemon makes the same
// plan at start and allocates by it once.
// 1. weights + workspace + num_blocks * page_bytes <= memory, or num_blocks is 0: it does not fit.

#include <cstdint>
#include <string>

#include "engine/models/model_shape.h"

namespace quire::engine {

struct PlanLimits {
  std::int64_t memory = 0;           // bytes for everything
  std::int64_t kv_cache_memory = 0;  // bytes for pages; 0: all that weights and workspace leave
  std::int32_t max_model_len = 0;    // tokens; 0: the model's own
  std::int32_t max_num_seqs = 256;
  std::int32_t max_num_batched_tokens = 512;
  std::int32_t block_size = 16;
  DType kv_dtype = DType::kBFloat16;
  bool int8_weights = false;  // the matrices, with a scale per group
};

struct MemoryPlan {
  std::int64_t memory = 0;  // as PlanLimits says
  std::int64_t weight_bytes = 0;
  std::int64_t workspace_bytes = 0;
  cache::KvCacheSpec kv;
  std::int64_t bytes_per_token = 0;
  std::int64_t page_bytes = 0;
  std::int64_t num_blocks = 0;
  std::int64_t max_model_len = 0;    // tokens of one sequence, as asked for
  std::int64_t longest_context = 0;  // tokens that one sequence could have: at most the model's
  std::int64_t num_sequences = 0;    // of max_model_len tokens, at once

  // The memory that one sequence of max_model_len tokens needs beside weights and workspace.
  std::int64_t sequence_bytes = 0;
  [[nodiscard]] bool fits() const { return num_sequences > 0; }
};

[[nodiscard]] MemoryPlan make_memory_plan(const ModelShape& shape, const PlanLimits& limits);

// The plan's figures in one line, for the refusal to start: what is needed and what there is.
[[nodiscard]] std::string plan_figures(const MemoryPlan& plan);

// Activations in float32 for the tokens of a step, logits for its samples, and the table of rotary
// positions, in bytes.
[[nodiscard]] std::int64_t workspace_bytes(const ModelShape& shape, const PlanLimits& limits);

// Blocks that a sequence of `length` tokens holds, over all groups.
[[nodiscard]] std::int64_t blocks_for(const cache::KvCacheSpec& kv, std::int64_t length);

}  // namespace quire::engine
