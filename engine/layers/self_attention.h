#pragma once
// SelfAttention: one product for q, k and v; rotation and the write of k and v to their pages;
// attention over the pages; the output product.

#include <cstdint>

#include "engine/backend/backend.h"
#include "engine/layers/activations.h"
#include "engine/layers/linear.h"

namespace quire::engine {

struct AttentionShape {
  std::int32_t num_heads = 0;
  std::int32_t num_kv_heads = 0;
  std::int32_t head_dim = 0;

  [[nodiscard]] std::int64_t q_width() const { return std::int64_t{num_heads} * head_dim; }
  [[nodiscard]] std::int64_t kv_width() const { return std::int64_t{num_kv_heads} * head_dim; }
  [[nodiscard]] std::int64_t qkv_width() const { return q_width() + 2 * kv_width(); }
};

struct SelfAttention {
  AttentionShape shape;
  float scale = 1.0f;  // of the dot products
  Linear qkv;          // rows: q, then k, then v
  Linear output;

  // x [T, C] -> out [T, C]. The rope table has rotary_dim 0 where positions are learned.
  void apply(Backend& backend, TensorView x, const RopeTable& rope, const KvLayer& kv,
             const BatchInput& batch, const Activations& scratch, TensorView out) const;
};

}  // namespace quire::engine
