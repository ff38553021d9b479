#pragma once
// The feed-forward blocks: x [T, C] -> out [T, C].

#include "engine/backend/backend.h"
#include "engine/layers/activations.h"
#include "engine/layers/linear.h"

namespace quire::engine {

// down(silu(gate(x)) * up(x)); gate and up are one product.
struct GatedMlp {
  static constexpr int kWidth = 2;  // features of the first product, per inner one

  Linear gate_up;  // rows: gate, then up
  Linear down;

  void apply(Backend& backend, TensorView x, const Activations& scratch, TensorView out) const {
    const TensorView wide = scratch.wide.view(x.rows);
    const TensorView inner = scratch.inner.view(x.rows);
    gate_up.apply(backend, x, wide);
    backend.silu_and_mul(wide, inner);
    down.apply(backend, inner, out);
  }
};

// down(gelu(up(x))), gelu in its tanh form.
struct GeluMlp {
  static constexpr int kWidth = 1;

  Linear up;
  Linear down;

  void apply(Backend& backend, TensorView x, const Activations& scratch, TensorView out) const {
    const TensorView wide = scratch.wide.view(x.rows);
    up.apply(backend, x, wide);
    backend.gelu_tanh(wide);
    down.apply(backend, wide, out);
  }
};

}  // namespace quire::engine
