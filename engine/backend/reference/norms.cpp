#include <cmath>

#include "engine/backend/reference/ops.h"

namespace quire::engine::reference {

void add(TensorView residual, TensorView delta) {
  CHECK_EQ(residual.rows, delta.rows);
  CHECK_EQ(residual.cols, delta.cols);
  for (std::int64_t t = 0; t < residual.rows; ++t) {
    for (std::int64_t c = 0; c < residual.cols; ++c) residual.row(t)[c] += delta.row(t)[c];
  }
}

void rms_norm(TensorView residual, TensorView delta, const float* weight, float epsilon,
              TensorView out) {
  if (delta.data != nullptr) add(residual, delta);
  const auto size = static_cast<float>(residual.cols);
  for (std::int64_t t = 0; t < residual.rows; ++t) {
    const float* x = residual.row(t);
    float squares = 0.0f;
    for (std::int64_t c = 0; c < residual.cols; ++c) squares += x[c] * x[c];
    const float scale = 1.0f / std::sqrt(squares / size + epsilon);
    for (std::int64_t c = 0; c < residual.cols; ++c) out.row(t)[c] = x[c] * scale * weight[c];
  }
}

void layer_norm(TensorView residual, TensorView delta, const float* weight, const float* bias,
                float epsilon, TensorView out) {
  if (delta.data != nullptr) add(residual, delta);
  const auto size = static_cast<float>(residual.cols);
  for (std::int64_t t = 0; t < residual.rows; ++t) {
    const float* x = residual.row(t);
    float sum = 0.0f;
    for (std::int64_t c = 0; c < residual.cols; ++c) sum += x[c];
    const float mean = sum / size;
    float squares = 0.0f;
    for (std::int64_t c = 0; c < residual.cols; ++c) squares += (x[c] - mean) * (x[c] - mean);
    const float scale = 1.0f / std::sqrt(squares / size + epsilon);
    for (std::int64_t c = 0; c < residual.cols; ++c) {
      out.row(t)[c] = (x[c] - mean) * scale * weight[c] + bias[c];
    }
  }
}

}  // namespace quire::engine::reference
