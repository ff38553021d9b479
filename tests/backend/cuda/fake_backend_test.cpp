// The CUDA backend on the fake device: the adapter, the schedules and the plans against the
// reference backend, and the law over them.

#include <cmath>

#include "engine/backend/cuda/cuda_backend.h"
#include "engine/backend/cuda/schedule.h"
#include "tests/backend/cuda/fake_device.h"
#include "tests/backend/paged_attention.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using cuda::testing::fake_api;
using cuda::testing::fake_device;
using testing::AttentionShape;
using testing::FileTensor;
using testing::Matrix;
using testing::PagedSequences;

// bfloat16 queries and weights of a softmax against the reference's float32.
constexpr double kHalfTolerance = 2e-2;

std::unique_ptr<Backend> make_fake() {
  fake_device() = {};
  auto backend = make_cuda_backend(fake_api(), {.num_threads = 1, .use_graphs = false});
  backend->reserve(1024, 64, 16384, 8192);
  return backend;
}

TEST_CASE("cuda attention walks to the reference's result") {
  const AttentionShape shapes[] = {
      {.num_heads = 4, .num_kv_heads = 2, .head_dim = 64, .rotary_dim = 64},
      {.num_heads = 8, .num_kv_heads = 2, .head_dim = 80, .dtype = DType::kBFloat16},
      {.num_heads = 3, .num_kv_heads = 3, .head_dim = 96, .dtype = DType::kFloat16},
      {.num_heads = 20, .num_kv_heads = 1, .head_dim = 32, .dtype = DType::kBFloat16},
      {.num_heads = 2, .num_kv_heads = 1, .head_dim = 256, .dtype = DType::kFloat16},
      {.num_heads = 4, .num_kv_heads = 1, .head_dim = 128, .window = 70},
      {.num_heads = 2, .num_kv_heads = 2, .head_dim = 8, .window = 600},
      {.num_heads = 8, .num_kv_heads = 2, .head_dim = 64, .dtype = DType::kInt8},
      {.num_heads = 3, .num_kv_heads = 1, .head_dim = 40, .window = 70, .dtype = DType::kInt8},
      {.num_heads = 4,
       .num_kv_heads = 4,
       .head_dim = 80,
       .rotary_dim = 80,
       .dtype = DType::kFp8E4M3},
  };
  const std::vector<int> lengths{1, 63, 65, 129, 530};
  for (const AttentionShape& shape : shapes) {
    INFO(shape.num_heads << "/" << shape.num_kv_heads << " heads of " << shape.head_dim);
    const PagedSequences sequences(shape, lengths);
    const auto steps = sequences.random_steps(3, 90);
    const auto expected = sequences.run(*make_reference_backend(), 16, steps);
    const double tolerance = shape.dtype == DType::kFloat32 ? 1e-5 : kHalfTolerance;
    check_close(sequences.run(*make_fake(), 16, steps), expected, tolerance);
  }
}

TEST_CASE("cuda attention gives the same bits however it is cut, in any company") {
  const std::vector<int> lengths{530, 1, 64, 63};
  for (const AttentionShape& shape :
       {AttentionShape{.num_heads = 6, .num_kv_heads = 2, .head_dim = 16, .rotary_dim = 16},
        AttentionShape{.num_heads = 3,
        .num_kv_heads = 1,
        .head_dim = 16,
        .window = 33,
        .dtype = DType::kFloat16},
        AttentionShape{.num_heads = 4, .num_kv_heads = 2, .head_dim = 16, .dtype = DType::kInt8},
        AttentionShape{
            .num_heads = 20, .num_kv_heads = 1, .head_dim = 16, .dtype = DType::kBFloat16}}) {
    const PagedSequences sequences(shape, lengths);
    const auto backend = make_fake();
    const auto whole = sequences.run(*backend, 16, sequences.whole());
    check_same(sequences.run(*backend, 64, sequences.random_steps(5, 37)), whole);
    check_same(sequences.run(*backend, 32, sequences.random_steps(6, 400)), whole);
    check_same(sequences.run(*backend, 16, sequences.one_by_one()), whole);
  }
}

// A step that writes only to activations.
template <typename Function>
void in_step(Backend& backend, const Function& run) {
  backend.begin_step({});
  run();
  backend.end_step();
}

Matrix product(Backend& backend, Matrix x, const Weight& weight, const float* bias) {
  Matrix out(x.rows(), weight.rows(), 3);
  in_step(backend, [&] { backend.linear(x.view(), weight, bias, out.view()); });
  return out;
}

TEST_CASE("cuda products walk to the reference's result, and a row's bits have no company") {
  std::mt19937 random(5);
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    for (const auto& [n, k] : {std::pair{33, 40}, {130, 192}, {64, 2100}}) {
      INFO("N " << n << ", K " << k << ", dtype " << static_cast<int>(dtype));
      const auto backend = make_fake();
      const auto reference = make_reference_backend();
      const FileTensor file(Matrix::random(n, k, random), dtype);
      const HostTensor parts[] = {file.tensor()};
      const auto weight = backend->prepare_weight(parts, dtype);
      const Matrix bias = Matrix::random(1, n, random);
      const Matrix x = Matrix::random(150, k, random, 5);
      const Matrix all = product(*backend, x, *weight, bias.row(0));
      const Matrix expected =
          product(*reference, x, *reference->prepare_weight(parts, dtype), bias.row(0));
      const bool exact = dtype == DType::kFloat32;
      if (exact) CHECK(all.same_bits(expected));
      CHECK(all.distance(expected) <= (exact ? 0.0 : kHalfTolerance));
      for (const std::int64_t rows : {1, 7, 8, 9, 16, 17, 33, 64, 65, 128}) {
        INFO("rows " << rows);
        Matrix few(rows, k);
        for (std::int64_t r = 0; r < rows; ++r) std::copy_n(x.row(150 - rows + r), k, few.row(r));
        const Matrix out = product(*backend, few, *weight, bias.row(0));
        for (std::int64_t r = 0; r < rows; ++r) CHECK(out.same_row(r, all, 150 - rows + r));
      }
    }
  }
}

TEST_CASE("what a product reads in 16 bits is what the op before it wrote") {
  std::mt19937 random(6);
  const auto backend = make_fake();
  const FileTensor file(Matrix::random(24, 40, random), DType::kBFloat16);
  const HostTensor parts[] = {file.tensor()};
  const auto weight = backend->prepare_weight(parts, DType::kBFloat16);
  const Matrix ones = Matrix::random(1, 40, random);
  Matrix x = Matrix::random(3, 40, random);
  Matrix other = Matrix::random(3, 40, random);
  Matrix normed(3, 40);
  Matrix first(3, 24);
  Matrix second(3, 24);
  Matrix third(3, 24);
  in_step(*backend, [&] {
    backend->rms_norm(x.view(), {}, ones.row(0), 1e-5f, normed.view());
    backend->linear(normed.view(), *weight, nullptr, first.view());
    backend->linear(other.view(), *weight, nullptr, second.view());  // not the norm's output
    backend->linear(normed.view(), *weight, nullptr, third.view());  // no longer the copy's source
  });
  CHECK(first.same_bits(third));
  CHECK(second.same_bits(product(*backend, other, *weight, nullptr)));
  CHECK(first.same_bits(product(*backend, normed, *weight, nullptr)));
}

TEST_CASE("cuda row ops agree with the reference") {
  std::mt19937 random(7);
  const auto fake = make_fake();
  const auto reference = make_reference_backend();
  const Matrix vector = Matrix::random(2, 48, random);
  for (const int rows : {0, 1, 5, 40}) {
    std::vector<Matrix> results;
    std::mt19937 same(8);
    const Matrix input = Matrix::random(rows, 96, same, 2);
    const Matrix delta = Matrix::random(rows, 48, same);
    for (Backend* backend : {fake.get(), reference.get()}) {
      Matrix wide = input;
      Matrix added = delta;
      Matrix residual(rows, 48);
      Matrix rms(rows, 48);
      Matrix layer(rows, 48);
      Matrix gathered(rows, 48);
      std::vector<std::int32_t> order;
      for (int i = rows; i-- > 0;) order.push_back(i);
      in_step(*backend, [&] {
        backend->silu_and_mul(wide.view(), residual.view());
        backend->rms_norm(residual.view(), added.view(), vector.row(0), 1e-5f, rms.view());
        backend->add(residual.view(), rms.view());
        backend->layer_norm(residual.view(), {}, vector.row(0), vector.row(1), 1e-5f, layer.view());
        backend->gelu_tanh(layer.view());
        backend->gather_rows(layer.view(), order, gathered.view());
      });
      results.push_back(gathered);
      results.push_back(residual);
    }
    CHECK(results[0].same_bits(results[2]));
    CHECK(results[1].same_bits(results[3]));
  }
}

}  // namespace
}  // namespace quire::engine
