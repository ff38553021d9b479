#include <cmath>
#include <vector>

#include "engine/backend/int8_format.h"
#include "engine/backend/reference/ops.h"

namespace quire::engine::reference {
namespace {

// One row of x in int8.
struct Int8Row {
  std::vector<std::int8_t> values;
  std::vector<float> scales;
};

Int8Row quantise(const float* x, std::int64_t cols) {
  Int8Row row{.values = std::vector<std::int8_t>(static_cast<std::size_t>(cols)), .scales = {}};
  for (std::int64_t k = 0; k < cols; k += kInt8Group) {
    const std::int64_t n = std::min(kInt8Group, cols - k);
    const Int8Scale scale = int8_activation_scale(int8_largest(x + k, n));
    int8_quantise(x + k, n, scale.inverse, row.values.data() + k);
    row.scales.push_back(scale.scale);
  }
  return row;
}

float dot_groups(const Int8Row& x, const std::int8_t* w, const float* w_scales, std::int64_t cols) {
  float out = 0.0f;
  for (std::int64_t group = 0; group < int8_groups(cols); ++group) {
    std::int32_t sum = 0;
    for (std::int64_t k = group * kInt8Group; k < std::min((group + 1) * kInt8Group, cols); ++k) {
      sum += std::int32_t{x.values[static_cast<std::size_t>(k)]} * w[k];
    }
    const float scale = w_scales[group] * x.scales[static_cast<std::size_t>(group)];
    out = std::fma(static_cast<float>(sum), scale, out);
  }
  return out;
}

}  // namespace

void int8_linear(TensorView x, const Int8Matrix& weight, const float* bias, TensorView out) {
  CHECK_EQ(x.cols, weight.cols);
  CHECK_EQ(out.cols, weight.rows);
  CHECK_EQ(out.rows, x.rows);
  const std::int64_t groups = int8_groups(weight.cols);
  for (std::int64_t t = 0; t < x.rows; ++t) {
    const Int8Row row = quantise(x.row(t), x.cols);
    for (std::int64_t n = 0; n < weight.rows; ++n) {
      const float sum =
          dot_groups(row, weight.values + n * weight.cols, weight.scales + n * groups, weight.cols);
      out.row(t)[n] = bias == nullptr ? sum : sum + bias[n];
    }
  }
}

void int8_embed(const Int8Matrix& table, std::span<const std::int32_t> ids, TensorView out) {
  CHECK_EQ(out.cols, table.cols);
  CHECK_EQ(out.rows, static_cast<std::int64_t>(ids.size()));
  const std::int64_t groups = int8_groups(table.cols);
  for (std::int64_t t = 0; t < out.rows; ++t) {
    const std::int64_t id = ids[static_cast<std::size_t>(t)];
    CHECK(id >= 0 && id < table.rows);
    for (std::int64_t k = 0; k < table.cols; ++k) {
      const float scale = table.scales[id * groups + k / kInt8Group];
      out.row(t)[k] = static_cast<float>(table.values[id * table.cols + k]) * scale;
    }
  }
}

}  // namespace quire::engine::reference
