#include "tests/backend/split_oracle.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <vector>

namespace quire::engine::testing {

bool splits(const CpuVariant& variant, DType dtype) {
  return std::string_view(variant.isa) == "amx" && dtype == DType::kBFloat16;
}

Matrix split_product(Backend& reference, const Weight& weight, const float* bias, const Matrix& x) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(weight.rows()));
  std::iota(ids.begin(), ids.end(), 0);
  Matrix weights(weight.rows(), weight.cols());
  reference.embed(weight, ids, weights.view());
  Matrix out(x.rows(), weight.rows(), 3);
  std::vector<SplitFloat> row(static_cast<std::size_t>(x.cols()));
  for (std::int64_t r = 0; r < x.rows(); ++r) {
    std::transform(x.row(r), x.row(r) + x.cols(), row.begin(), split);
    for (std::int64_t n = 0; n < weight.rows(); ++n) {
      const float sum = split_dot(row.data(), weights.row(n), x.cols());
      out.row(r)[n] = bias == nullptr ? sum : sum + bias[n];
    }
  }
  return out;
}

Matrix expected_product(const CpuVariant& variant, DType dtype, Backend& reference,
                        const Weight& weight, const float* bias, Matrix& x) {
  if (splits(variant, dtype)) {
    return split_product(reference, weight, bias, x);
  }
  Matrix out(x.rows(), weight.rows(), 3);
  reference.linear(x.view(), weight, bias, out.view());
  return out;
}

}  // namespace quire::engine::testing
