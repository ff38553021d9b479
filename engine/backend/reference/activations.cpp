#include <algorithm>
#include <cmath>

#include "engine/backend/reference/ops.h"

namespace quire::engine::reference {

void silu_and_mul(TensorView x, TensorView out) {
  CHECK_EQ(x.cols, 2 * out.cols);
  CHECK_EQ(x.rows, out.rows);
  for (std::int64_t t = 0; t < x.rows; ++t) {
    const float* gate = x.row(t);
    const float* up = gate + out.cols;
    for (std::int64_t c = 0; c < out.cols; ++c) {
      out.row(t)[c] = gate[c] / (1.0f + std::exp(-gate[c])) * up[c];
    }
  }
}

void gelu_tanh(TensorView x) {
  constexpr float kRootTwoOverPi = 0.79788456080286536f;
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t c = 0; c < x.cols; ++c) {
      const float value = x.row(t)[c];
      const float inner = kRootTwoOverPi * (value + 0.044715f * value * value * value);
      x.row(t)[c] = 0.5f * value * (1.0f + std::tanh(inner));
    }
  }
}

void gather_rows(TensorView x, std::span<const std::int32_t> rows, TensorView out) {
  CHECK_EQ(x.cols, out.cols);
  CHECK_EQ(out.rows, static_cast<std::int64_t>(rows.size()));
  for (std::int64_t s = 0; s < out.rows; ++s) {
    const float* source = x.row(rows[static_cast<std::size_t>(s)]);
    std::copy(source, source + x.cols, out.row(s));
  }
}

}  // namespace quire::engine::reference
