#include "engine/layers/self_attention.h"

namespace quire::engine {

void SelfAttention::apply(Backend& backend, TensorView x, const RopeTable& rope, const KvLayer& kv,
                          const BatchInput& batch, const Activations& scratch,
                          TensorView out) const {
  const TensorView all = scratch.qkv.view(x.rows);
  const TensorView q = all.columns(0, shape.q_width());
  const TensorView k = all.columns(shape.q_width(), shape.kv_width());
  const TensorView v = all.columns(shape.q_width() + shape.kv_width(), shape.kv_width());
  const TensorView heads = scratch.heads.view(x.rows);
  qkv.apply(backend, x, all);
  backend.rope_and_write_kv(q, k, v, rope, kv, batch);
  backend.attention(q, kv, {.num_heads = shape.num_heads, .scale = scale}, batch, heads);
  output.apply(backend, heads, out);
}

}  // namespace quire::engine
