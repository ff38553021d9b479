#include "engine/memory_plan.h"

#include <algorithm>

#include "engine/backend/int8_format.h"
#include "engine/memory.h"

namespace quire::engine {
namespace {

std::int64_t ceil_div(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

// The longest context of at most `limit` tokens whose blocks are no more than there are.
std::int64_t longest_context(const cache::KvCacheSpec& kv, std::int64_t num_blocks,
                             std::int64_t limit) {
  std::int64_t low = 0;
  std::int64_t high = limit;
  while (low < high) {
    const std::int64_t middle = low + (high - low + 1) / 2;
    if (blocks_for(kv, middle) <= num_blocks) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// Tables stay floats under int8. Norms and biases do, too: too few to count.
std::int64_t weight_bytes(const ModelShape& shape, bool int8) {
  if (!int8) return shape.parameters * dtype_bytes(shape.dtype);
  const std::int64_t products = shape.parameters - shape.table_parameters;
  return products + ceil_div(products, kInt8Group) * dtype_bytes(DType::kFloat32) +
         shape.table_parameters * dtype_bytes(shape.dtype);
}

// Cosines and sines of every position that a sequence may have. The copy that they are made in is
// gone before the first weight is read.
std::int64_t rope_bytes(const ModelShape& shape, const PlanLimits& limits) {
  const std::int64_t positions =
      limits.max_model_len > 0 ? limits.max_model_len : shape.max_positions;
  return positions * shape.rotary_dim * dtype_bytes(DType::kFloat32);
}

}  // namespace

std::int64_t workspace_bytes(const ModelShape& shape, const PlanLimits& limits) {
  const std::int64_t q = std::int64_t{shape.num_heads} * shape.head_dim;
  const std::int64_t kv = 2 * std::int64_t{shape.num_kv_heads} * shape.head_dim;
  // Residual, its norm and a layer's output; q, k and v; the heads' output; gate, up and product.
  const std::int64_t per_token = 3 * shape.hidden_size + 2 * q + kv + 3 * shape.intermediate_size;
  const std::int64_t per_sample = shape.hidden_size + shape.vocab_size;
  const std::int64_t floats =
      limits.max_num_batched_tokens * per_token + limits.max_num_seqs * per_sample;
  return floats * dtype_bytes(DType::kFloat32) + rope_bytes(shape, limits);
}

std::int64_t blocks_for(const cache::KvCacheSpec& kv, std::int64_t length) {
  std::int64_t blocks = 0;
  for (const cache::KvGroupSpec& group : kv.groups) {
    std::int64_t tokens = length;
    // A window that does not begin at a block's edge reaches into one block more.
    if (group.kind == cache::AttentionKind::kSlidingWindow) {
      tokens = std::min(tokens, std::int64_t{group.window} + group.block_size);
    }
    blocks += ceil_div(tokens, group.block_size);
  }
  return blocks;
}

MemoryPlan make_memory_plan(const ModelShape& shape, const PlanLimits& limits) {
  MemoryPlan plan;
  plan.memory = limits.memory;
  plan.weight_bytes = weight_bytes(shape, limits.int8_weights);
  plan.workspace_bytes = workspace_bytes(shape, limits);
  plan.kv = shape.kv_spec(limits.block_size, limits.kv_dtype);
  plan.bytes_per_token = plan.kv.bytes_per_token();
  plan.page_bytes = plan.kv.page_bytes();
  plan.max_model_len = limits.max_model_len > 0 ? limits.max_model_len : shape.max_positions;
  const std::int64_t needed = blocks_for(plan.kv, plan.max_model_len);
  plan.sequence_bytes = needed * plan.page_bytes;
  const std::int64_t left = limits.memory - plan.weight_bytes - plan.workspace_bytes;
  const std::int64_t most = limits.kv_cache_memory > 0 ? limits.kv_cache_memory : left;
  plan.num_blocks = std::max<std::int64_t>(std::min(left, most), 0) / plan.page_bytes;
  plan.longest_context = longest_context(plan.kv, plan.num_blocks, shape.max_positions);
  plan.num_sequences = plan.num_blocks / needed;
  return plan;
}

std::string plan_figures(const MemoryPlan& plan) {
  return "weights take " + size_text(plan.weight_bytes) + ", the workspace " +
         size_text(plan.workspace_bytes) + ", a page " + size_text(plan.page_bytes) +
         ", a sequence of " + std::to_string(plan.max_model_len) + " tokens " +
         size_text(plan.sequence_bytes) + "; there are " + size_text(plan.memory) +
         " (quire plan tells more)";
}

}  // namespace quire::engine
