// Products as the kernels schedule them.

#include <cmath>
#include <vector>

#include "engine/backend/cuda/schedule.h"
#include "engine/backend/float_formats.h"
#include "tests/backend/cuda/emulated_ops.h"

namespace quire::engine::cuda::testing {
namespace {

struct Product {
  const QuireCudaOp& op;

  [[nodiscard]] std::int64_t rows() const { return op.out.rows; }
  [[nodiscard]] std::int64_t n() const { return op.weight.rows; }
  [[nodiscard]] std::int64_t k() const { return op.weight.cols; }
  [[nodiscard]] float weight(std::int64_t row, std::int64_t column) const {
    return half(op.weight.data, row * op.weight.row_stride + column, op.weight.type);
  }
  [[nodiscard]] float x(std::int64_t row, std::int64_t column) const {
    return half(op.narrow.data, row * op.narrow.row_stride + column, op.narrow.type);
  }
  [[nodiscard]] static float half(const void* data, std::int64_t at, std::int32_t type) {
    return load_float(static_cast<const std::byte*>(data) + at * 2, static_cast<DType>(type));
  }
  void finish(std::int64_t row, std::int64_t column, float sum) const {
    const float bias = op.vector == nullptr ? 0.0f : op.vector[column];
    static_cast<float*>(op.out.data)[row * op.out.row_stride + column] =
        op.vector == nullptr ? sum : sum + bias;
  }
};

// A row as the instructions take it: the fragments' order of k.
using Line = std::vector<float>;

template <typename Value>
Line in_fragment_order(std::int64_t k, const Value& value) {
  Line line;
  line.reserve(static_cast<std::size_t>(padded_k(k)));
  for (std::int64_t at = 0; at < padded_k(k); at += 2 * kInstructionK) {
    for (int half = 0; half < 2; ++half) {
      for (int t = 0; t < 4; ++t) {
        for (int i = 0; i < 4; ++i) line.push_back(value(at + fragment_k(half, t, i)));
      }
    }
  }
  return line;
}

// Both operands, in the fragments' order.
struct Operands {
  explicit Operands(const Product& product) {
    for (std::int64_t r = 0; r < product.rows(); ++r) {
      x.push_back(in_fragment_order(product.k(), [&](std::int64_t k) { return product.x(r, k); }));
    }
    for (std::int64_t n = 0; n < product.n(); ++n) {
      weight.push_back(
          in_fragment_order(product.k(), [&](std::int64_t k) { return product.weight(n, k); }));
    }
  }
  std::vector<Line> x;
  std::vector<Line> weight;
};

__attribute__((target("fma"))) float chain(const float* a, const float* b, std::int64_t count) {
  float sum = 0.0f;
  for (std::int64_t i = 0; i < count; ++i) sum = __builtin_fmaf(a[i], b[i], sum);
  return sum;
}

// One slice of an output: instruction after instruction.
float slice_sum(const Operands& operands, std::int64_t row, std::int64_t column, KRange range) {
  return chain(operands.weight[static_cast<std::size_t>(column)].data() + range.begin,
               operands.x[static_cast<std::size_t>(row)].data() + range.begin,
               range.end - range.begin);
}

// fn(row, column) for every output of a block's tile that exists.
template <typename Function>
void for_tile(const Product& product, const LinearPlan& plan, std::int64_t block,
              const Function& fn) {
  const std::int64_t token_tiles = ceil_div(product.rows(), plan.token_tile);
  const std::int64_t first_row = block % token_tiles * plan.token_tile;
  const std::int64_t first_column = block / token_tiles * plan.n_tile;
  for (std::int64_t c = 0; c < plan.n_tile && first_column + c < product.n(); ++c) {
    for (std::int64_t r = 0; r < plan.token_tile && first_row + r < product.rows(); ++r) {
      fn(first_row + r, first_column + c);
    }
  }
}

// Every slice's sum, in order: one warp each (kStream), or one after another (kTileWalk).
void walk(const Product& product, const LinearPlan& plan) {
  const Operands operands(product);
  for (std::int64_t block = 0; block < plan.blocks; ++block) {
    for_tile(product, plan, block, [&](std::int64_t row, std::int64_t column) {
      float total = slice_sum(operands, row, column, k_slice(product.k(), 0));
      for (std::int32_t s = 1; s < num_slices(product.k()); ++s) {
        total += slice_sum(operands, row, column, k_slice(product.k(), s));
      }
      product.finish(row, column, total);
    });
  }
}

// Slices in the grid: partial sums [slice][row][column] in the workspace, then their sum.
void slices_apart(const Product& product, const LinearPlan& plan) {
  const Operands operands(product);
  const std::int64_t outputs = product.rows() * product.n();
  for (std::int32_t s = 0; s < num_slices(product.k()); ++s) {
    for (std::int64_t block = 0; block < plan.blocks; ++block) {
      for_tile(product, plan, block, [&](std::int64_t row, std::int64_t column) {
        product.op.workspace[s * outputs + row * product.n() + column] =
            slice_sum(operands, row, column, k_slice(product.k(), s));
      });
    }
  }
  for (std::int64_t i = 0; i < outputs; ++i) {
    float total = product.op.workspace[i];
    for (std::int32_t s = 1; s < num_slices(product.k()); ++s) {
      total += product.op.workspace[s * outputs + i];
    }
    product.finish(i / product.n(), i % product.n(), total);
  }
}

// float32 weights: the seam's own chain over k.
void float32_product(const QuireCudaOp& op) {
  const auto* weight = static_cast<const float*>(op.weight.data);
  for (std::int64_t r = 0; r < op.out.rows; ++r) {
    const float* x = static_cast<const float*>(op.x.data) + r * op.x.row_stride;
    for (std::int64_t n = 0; n < op.weight.rows; ++n) {
      float sum = 0.0f;
      for (std::int64_t k = 0; k < op.weight.cols; ++k) {
        sum = std::fma(x[k], weight[n * op.weight.row_stride + k], sum);
      }
      Product{op}.finish(r, n, sum);
    }
  }
}

}  // namespace

void emulate_linear(const QuireCudaOp& op) {
  if (op.weight.type == kQuireCudaFloat32) return float32_product(op);
  const Product product{op};
  const LinearPlan plan = plan_linear(product.rows(), product.n(), product.k(), op.workspace_bytes);
  // A stream's tokens beyond one tile do not exist; a tile path's blocks count both directions.
  if (plan.path == LinearPath::kTileSlices) return slices_apart(product, plan);
  walk(product, plan);
}

}  // namespace quire::engine::cuda::testing
