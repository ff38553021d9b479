#pragma once
// Linear: out = x W^T + bias, with the weight as the backend packed it.

#include <memory>

#include "engine/backend/backend.h"

namespace quire::engine {

struct Linear {
  std::unique_ptr<Weight> weight;  // [out features, in features]
  DeviceBuffer bias;               // empty: none

  // x [T, in], out [T, out].
  void apply(Backend& backend, TensorView x, TensorView out) const {
    backend.linear(x, *weight, static_cast<const float*>(bias.data()), out);
  }
};

}  // namespace quire::engine
