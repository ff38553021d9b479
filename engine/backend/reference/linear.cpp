#include <cmath>

#include "engine/backend/reference/ops.h"

namespace quire::engine::reference {
namespace {

float dot_chain(const float* x, const float* w, std::int64_t n) {
  float sum = 0.0f;
  for (std::int64_t k = 0; k < n; ++k) sum = std::fma(x[k], w[k], sum);
  return sum;
}

}  // namespace

void linear(TensorView x, const DenseMatrix& weight, const float* bias, TensorView out) {
  CHECK_EQ(x.cols, weight.cols);
  CHECK_EQ(out.cols, weight.rows);
  CHECK_EQ(out.rows, x.rows);
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t n = 0; n < weight.rows; ++n) {
      const float sum = dot_chain(x.row(t), weight.data + n * weight.cols, weight.cols);
      out.row(t)[n] = bias == nullptr ? sum : sum + bias[n];
    }
  }
}

void embed(const DenseMatrix& table, std::span<const std::int32_t> ids, TensorView out) {
  CHECK_EQ(out.cols, table.cols);
  CHECK_EQ(out.rows, static_cast<std::int64_t>(ids.size()));
  for (std::int64_t t = 0; t < out.rows; ++t) {
    const std::int64_t id = ids[static_cast<std::size_t>(t)];
    CHECK_GE(id, 0);
    CHECK_LT(id, table.rows);
    for (std::int64_t k = 0; k < table.cols; ++k) out.row(t)[k] = table.data[id * table.cols + k];
  }
}

}  // namespace quire::engine::reference
