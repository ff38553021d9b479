#pragma once
// The two norms, each with the residual addition in front of it: residual += delta (where there is
// one), then out = norm(residual). All views [T, C].

#include "engine/backend/backend.h"

namespace quire::engine {

struct RmsNorm {
  DeviceBuffer weight;
  float epsilon = 0;

  void apply(Backend& backend, TensorView residual, TensorView delta, TensorView out) const {
    backend.rms_norm(residual, delta, static_cast<const float*>(weight.data()), epsilon, out);
  }
};

struct LayerNorm {
  DeviceBuffer weight;
  DeviceBuffer bias;
  float epsilon = 0;

  void apply(Backend& backend, TensorView residual, TensorView delta, TensorView out) const {
    backend.layer_norm(residual, delta, static_cast<const float*>(weight.data()),
                       static_cast<const float*>(bias.data()), epsilon, out);
  }
};

}  // namespace quire::engine
