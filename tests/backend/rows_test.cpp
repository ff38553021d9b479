// Norms, activations and copies: close to the reference, and the same bits in every variant.

#include <functional>

#include "tests/backend/tensors.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using testing::CpuVariant;
using testing::Matrix;

constexpr std::int64_t kSizes[] = {1, 7, 8, 15, 16, 17, 48, 64, 100, 769};
constexpr std::int64_t kRowCounts[] = {0, 1, 2, 33};

// Runs `op` on fresh copies of the inputs under the reference and every variant. `op` returns what
// is to be compared.
void check_op(double tolerance, const std::function<Matrix(Backend&)>& op) {
  const Matrix expected = op(*make_reference_backend());
  std::vector<Matrix> results;
  for (const CpuVariant& variant : testing::cpu_variants()) {
    INFO(variant.isa << ", " << variant.threads << " threads");
    results.push_back(op(*make_cpu_backend(variant.threads, variant.isa)));
    CHECK(results.back().distance(expected) <= tolerance);
    CHECK(results.back().same_bits(results.front()));
  }
}

void for_shapes(const std::function<void(std::int64_t rows, std::int64_t cols)>& fn) {
  for (const std::int64_t rows : kRowCounts) {
    for (const std::int64_t cols : kSizes) {
      INFO(rows << " x " << cols);
      fn(rows, cols);
    }
  }
}

TEST_CASE("rms_norm, with and without a delta") {
  std::mt19937 random(1);
  for_shapes([&](std::int64_t rows, std::int64_t cols) {
    const Matrix residual = Matrix::random(rows, cols, random, 2);
    const Matrix delta = Matrix::random(rows, cols, random, 1);
    const Matrix weight = Matrix::random(1, cols, random);
    for (const bool with_delta : {false, true}) {
      check_op(1e-6, [&](Backend& backend) {
        Matrix sum = residual;
        Matrix added = delta;
        Matrix out(rows, cols, 3);
        backend.rms_norm(sum.view(), with_delta ? added.view() : TensorView{}, weight.row(0), 1e-5f,
                         out.view());
        return out;
      });
      check_op(0.0, [&](Backend& backend) {
        Matrix sum = residual;
        Matrix added = delta;
        Matrix out(rows, cols);
        backend.rms_norm(sum.view(), with_delta ? added.view() : TensorView{}, weight.row(0), 1e-5f,
                         out.view());
        return sum;
      });
    }
  });
}

TEST_CASE("layer_norm, with and without a delta") {
  std::mt19937 random(2);
  for_shapes([&](std::int64_t rows, std::int64_t cols) {
    const Matrix residual = Matrix::random(rows, cols, random, 2);
    const Matrix delta = Matrix::random(rows, cols, random, 1);
    const Matrix weight = Matrix::random(1, cols, random);
    const Matrix bias = Matrix::random(1, cols, random);
    for (const bool with_delta : {false, true}) {
      check_op(2e-5, [&](Backend& backend) {
        Matrix sum = residual;
        Matrix added = delta;
        Matrix out(rows, cols, 3);
        backend.layer_norm(sum.view(), with_delta ? added.view() : TensorView{}, weight.row(0),
                           bias.row(0), 1e-5f, out.view());
        return out;
      });
    }
  });
}

TEST_CASE("add") {
  std::mt19937 random(3);
  for_shapes([&](std::int64_t rows, std::int64_t cols) {
    const Matrix residual = Matrix::random(rows, cols, random, 2);
    const Matrix delta = Matrix::random(rows, cols, random, 1);
    check_op(0.0, [&](Backend& backend) {
      Matrix sum = residual;
      Matrix added = delta;
      backend.add(sum.view(), added.view());
      return sum;
    });
  });
}

TEST_CASE("silu_and_mul") {
  std::mt19937 random(4);
  for_shapes([&](std::int64_t rows, std::int64_t cols) {
    const Matrix x = Matrix::random(rows, 2 * cols, random, 2, 5.0f);
    check_op(1e-6, [&](Backend& backend) {
      Matrix input = x;
      Matrix out(rows, cols, 1);
      backend.silu_and_mul(input.view(), out.view());
      return out;
    });
  });
}

TEST_CASE("silu_and_mul far out") {
  const float far[] = {-1e30f, -200.0f, -90.0f, -88.0f, 0.0f, 88.0f, 90.0f, 200.0f, 1e30f};
  const std::int64_t size = std::size(far);
  check_op(1e-6, [&](Backend& backend) {
    Matrix input(1, 2 * size);
    for (std::int64_t i = 0; i < size; ++i) {
      input.row(0)[i] = far[i];
      input.row(0)[size + i] = 1e-3f;
    }
    Matrix out(1, size);
    backend.silu_and_mul(input.view(), out.view());
    return out;
  });
}

TEST_CASE("gelu_tanh") {
  std::mt19937 random(5);
  for_shapes([&](std::int64_t rows, std::int64_t cols) {
    const Matrix x = Matrix::random(rows, cols, random, 2, 4.0f);
    check_op(1e-6, [&](Backend& backend) {
      Matrix out = x;
      backend.gelu_tanh(out.view());
      return out;
    });
  });
}

TEST_CASE("gather_rows") {
  std::mt19937 random(6);
  const Matrix x = Matrix::random(9, 33, random, 2);
  const std::vector<std::int32_t> rows{8, 0, 0, 5};
  check_op(0.0, [&](Backend& backend) {
    Matrix input = x;
    Matrix out(4, 33, 1);
    backend.gather_rows(input.view(), rows, out.view());
    REQUIRE(out.same_row(0, x, 8));
    REQUIRE(out.same_row(3, x, 5));
    return out;
  });
}

TEST_CASE("a row's norm does not depend on the rows beside it") {
  std::mt19937 random(7);
  const Matrix x = Matrix::random(64, 300, random);
  const Matrix weight = Matrix::random(1, 300, random);
  for (const CpuVariant& variant : testing::cpu_variants()) {
    const auto backend = make_cpu_backend(variant.threads, variant.isa);
    Matrix all = x;
    Matrix out(64, 300);
    backend->rms_norm(all.view(), {}, weight.row(0), 1e-6f, out.view());
    for (std::int64_t r = 0; r < 64; ++r) {
      Matrix alone(1, 300);
      backend->rms_norm(all.rows_of(r, 1), {}, weight.row(0), 1e-6f, alone.view());
      REQUIRE(alone.same_row(0, out, r));
    }
  }
}

TEST_CASE("parallel_for runs every index once") {
  for (const CpuVariant& variant : testing::cpu_variants()) {
    const auto backend = make_cpu_backend(variant.threads, variant.isa);
    for (const std::int64_t n : {0, 1, 2, 100}) {
      std::vector<int> counts(static_cast<std::size_t>(n) + 1, 0);
      backend->parallel_for(
          n, [](void* context, std::int64_t i) { ++static_cast<int*>(context)[i]; }, counts.data());
      for (std::int64_t i = 0; i < n; ++i) REQUIRE(counts[i] == 1);
      REQUIRE(counts[n] == 0);
    }
  }
}

TEST_CASE("unknown instruction sets are refused") {
  REQUIRE_THROWS_AS(make_cpu_backend(1, "sse2"), std::runtime_error);
}

}  // namespace
}  // namespace quire::engine
