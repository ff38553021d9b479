#include "engine/backend/reference/reference_weight.h"

namespace quire::engine::reference {
namespace {

constexpr std::int64_t kFloat = sizeof(float);

}  // namespace

ReferenceWeight::ReferenceWeight(std::span<const HostTensor> parts, DType dtype)
    : shape_(stacked_shape(parts)), values_(shape_.rows * shape_.cols * kFloat) {
  widen_all(parts, values_.floats());
  shape_.dtype = dtype;
  if (dtype == DType::kInt8) {
    quantise();
  } else {
    narrow(parts, dtype);
  }
}

// Rounds what came from wider parts to what `dtype` holds.
void ReferenceWeight::narrow(std::span<const HostTensor> parts, DType dtype) {
  float* value = values_.floats();
  for (const HostTensor& part : parts) {
    for (std::int64_t i = 0; i < part.rows * part.cols; ++i, ++value) {
      if (part.dtype == dtype) continue;
      std::byte stored[kFloat] = {};
      store_float(stored, dtype, *value);
      *value = load_float(stored, dtype);
    }
  }
}

void ReferenceWeight::quantise() {
  const HostMemory floats = std::move(values_);
  values_ = HostMemory(shape_.rows * shape_.cols);
  scales_ = HostMemory(shape_.rows * int8_groups(shape_.cols) * kFloat);
  auto* q = reinterpret_cast<std::int8_t*>(values_.data());
  float* scale = scales_.floats();
  for (std::int64_t row = 0; row < shape_.rows; ++row) {
    for (std::int64_t k = 0; k < shape_.cols; k += kInt8Group) {
      const std::int64_t n = std::min(kInt8Group, shape_.cols - k);
      const float* x = floats.floats() + row * shape_.cols + k;
      const Int8Scale chosen = int8_weight_scale(int8_largest(x, n));
      int8_quantise(x, n, chosen.inverse, q + row * shape_.cols + k);
      *scale++ = chosen.scale;
    }
  }
}

}  // namespace quire::engine::reference
