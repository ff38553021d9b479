// int8 weights: every variant of the CPU backend gives the reference's bits, and the reference is
// near the float product.

#include <cmath>
#include <limits>

#include "engine/backend/int8_format.h"
#include "tests/backend/tensors.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using testing::CpuVariant;
using testing::FileTensor;
using testing::Matrix;

struct Shape {
  std::int64_t outputs;
  std::int64_t inputs;
};

// Less than a group and a panel, one more than some, and k beyond one block of the driver.
constexpr Shape kShapes[] = {{1, 1}, {31, 63}, {33, 65}, {96, 128}, {161, 801}};

Matrix product(Backend& backend, const Weight& weight, const float* bias, Matrix& x,
               std::int64_t first_row, std::int64_t rows) {
  Matrix out(rows, weight.rows(), 3);
  backend.linear(x.rows_of(first_row, rows), weight, bias, out.view());
  return out;
}

struct Pair {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Weight> weight;
};

Pair converted(std::unique_ptr<Backend> backend, std::span<const HostTensor> parts, DType dtype) {
  backend->reserve(600, 16, parts[0].cols, 64);
  auto weight = backend->prepare_weight(parts, dtype);
  return {.backend = std::move(backend), .weight = std::move(weight)};
}

Pair quantised(std::unique_ptr<Backend> backend, std::span<const HostTensor> parts) {
  return converted(std::move(backend), parts, DType::kInt8);
}

void check_rows(const CpuVariant& variant, Shape shape, DType stored, std::int64_t most_rows) {
  std::mt19937 random(17);
  const FileTensor file(Matrix::random(shape.outputs, shape.inputs, random), stored);
  const HostTensor parts[] = {file.tensor()};
  const Matrix bias = Matrix::random(1, shape.outputs, random);
  Matrix x = Matrix::random(most_rows, shape.inputs, random, 5);
  const Pair reference = quantised(make_reference_backend(), parts);
  const Pair cpu = quantised(make_cpu_backend(variant.threads, variant.isa), parts);
  const Matrix expected =
      product(*reference.backend, *reference.weight, bias.row(0), x, 0, most_rows);
  const Matrix plain = product(*reference.backend, *reference.weight, nullptr, x, 0, most_rows);
  for (std::int64_t rows = 1; rows <= most_rows; rows = rows < 40 ? rows + 1 : rows + 97) {
    const std::int64_t first = most_rows - rows;  // another place in the block each time
    const Matrix with = product(*cpu.backend, *cpu.weight, bias.row(0), x, first, rows);
    const Matrix without = product(*cpu.backend, *cpu.weight, nullptr, x, first, rows);
    std::int64_t different = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
      different += !with.same_row(r, expected, first + r);
      different += !without.same_row(r, plain, first + r);
    }
    INFO(rows << " rows");
    REQUIRE(different == 0);
  }
}

TEST_CASE("int8 linear has the reference's bits for any rows, threads and instruction set") {
  for (const CpuVariant& variant : testing::cpu_variants()) {
    for (const Shape shape : kShapes) {
      INFO(variant.isa << ", " << variant.threads << " threads, " << shape.outputs << " x "
                       << shape.inputs);
      check_rows(variant, shape, DType::kFloat32, 45);
    }
    check_rows(variant, {97, 1700}, DType::kBFloat16, 531);
    check_rows(variant, {40, 70}, DType::kFloat16, 3);
  }
}

TEST_CASE("int8 linear is within half a percent of the float product") {
  std::mt19937 random(3);
  const FileTensor file(Matrix::random(200, 777, random), DType::kFloat32);
  const HostTensor parts[] = {file.tensor()};
  Matrix x = Matrix::random(9, 777, random);
  const auto backend = make_reference_backend();
  const auto exact = backend->prepare_weight(parts);
  const auto weight = backend->prepare_weight(parts, DType::kInt8);
  const Matrix expected = product(*backend, *exact, nullptr, x, 0, 9);
  const Matrix actual = product(*backend, *weight, nullptr, x, 0, 9);
  // Of the outputs' own spread, sqrt(777): each factor is off by at most 1 / 254 of its group's
  // largest, mostly by far less, and the errors are independent.
  double squares = 0;
  for (std::int64_t r = 0; r < 9; ++r) {
    for (std::int64_t n = 0; n < 200; ++n) {
      squares += std::pow(double{actual.row(r)[n]} - double{expected.row(r)[n]}, 2);
    }
  }
  REQUIRE(std::sqrt(squares / (9 * 200)) < 0.012 * std::sqrt(777.0));
  REQUIRE_FALSE(actual.same_bits(expected));
}

TEST_CASE("int8 stacks parts of several types, reads transposed ones and gives rows back") {
  std::mt19937 random(5);
  const std::int64_t inputs = 150;
  const FileTensor files[] = {FileTensor(Matrix::random(40, inputs, random), DType::kBFloat16),
                              FileTensor(Matrix::random(9, inputs, random), DType::kFloat32, true),
                              FileTensor(Matrix::random(21, inputs, random), DType::kFloat16)};
  const HostTensor parts[] = {files[0].tensor(), files[1].tensor(), files[2].tensor()};
  const Pair reference = quantised(make_reference_backend(), parts);
  const std::vector<std::int32_t> ids{69, 0, 40, 48, 31, 32, 0};
  Matrix expected(7, inputs, 1);
  reference.backend->embed(*reference.weight, ids, expected.view());
  Matrix x = Matrix::random(3, inputs, random);
  const Matrix out = product(*reference.backend, *reference.weight, nullptr, x, 0, 3);
  for (const CpuVariant& variant : testing::cpu_variants()) {
    const Pair cpu = quantised(make_cpu_backend(variant.threads, variant.isa), parts);
    REQUIRE(cpu.weight->rows() == 70);
    Matrix actual(7, inputs, 1);
    cpu.backend->embed(*cpu.weight, ids, actual.view());
    REQUIRE(actual.same_bits(expected));
    REQUIRE(product(*cpu.backend, *cpu.weight, nullptr, x, 0, 3).same_bits(out));
  }
}

TEST_CASE("int8 scales hold the largest value, zeros and what is not finite") {
  REQUIRE(int8_weight_scale(0.0f).inverse == 0.0f);
  REQUIRE(int8_weight_scale(1e-31f).scale == 0.0f);
  REQUIRE(std::isnan(int8_weight_scale(std::numeric_limits<float>::infinity()).scale));
  REQUIRE(std::isnan(int8_activation_scale(std::numeric_limits<float>::quiet_NaN()).scale));
  for (const float largest : {1e-30f, 0.003f, 1.0f, 127.0f, 3e38f}) {
    const Int8Scale weight = int8_weight_scale(largest);
    REQUIRE(std::nearbyint(largest * weight.inverse) <= 127.0f);
    REQUIRE(weight.scale == bfloat16_to_float(float_to_bfloat16(weight.scale)));
    REQUIRE(std::nearbyint(largest * int8_activation_scale(largest).inverse) == 127.0f);
  }
}

// Two rows of three groups, one group of the first row spoilt.
void check_spoilt(const CpuVariant& variant, DType dtype, float spoiler) {
  std::mt19937 random(11);
  const FileTensor file(Matrix::random(33, 192, random), DType::kFloat32);
  const HostTensor parts[] = {file.tensor()};
  Matrix x = Matrix::random(2, 192, random);
  const Pair cpu = converted(make_cpu_backend(variant.threads, variant.isa), parts, dtype);
  const Matrix clean = product(*cpu.backend, *cpu.weight, nullptr, x, 0, 2);
  x.row(0)[70] = spoiler;
  const Matrix spoilt = product(*cpu.backend, *cpu.weight, nullptr, x, 0, 2);
  REQUIRE(spoilt.same_row(1, clean, 1));
  for (std::int64_t n = 0; n < 33; ++n) REQUIRE(std::isnan(spoilt.row(0)[n]));
}

TEST_CASE("a row that is not finite spoils itself alone") {
  for (const CpuVariant& variant : testing::cpu_variants()) {
    for (const DType dtype : {DType::kInt8, DType::kBFloat16}) {
      INFO(variant.isa << ", dtype " << static_cast<int>(dtype));
      check_spoilt(variant, dtype, std::numeric_limits<float>::quiet_NaN());
      check_spoilt(variant, dtype, -std::numeric_limits<float>::quiet_NaN());
    }
    check_spoilt(variant, DType::kInt8, std::numeric_limits<float>::infinity());
  }
}

TEST_CASE("weights are converted while they are packed") {
  std::mt19937 random(29);
  const Matrix values = Matrix::random(45, 130, random);
  const FileTensor wide(values, DType::kFloat32);
  const FileTensor narrow(values, DType::kBFloat16);
  const HostTensor parts[] = {wide.tensor()};
  const HostTensor expected_parts[] = {narrow.tensor()};
  Matrix x = Matrix::random(2, 130, random);
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(make_reference_backend());
  for (const CpuVariant& variant : testing::cpu_variants()) {
    backends.push_back(make_cpu_backend(variant.threads, variant.isa));
  }
  for (const auto& backend : backends) {
    backend->reserve(8, 8, 130, 64);
    const auto expected_weight = backend->prepare_weight(expected_parts);
    const auto weight = backend->prepare_weight(parts, DType::kBFloat16);
    const Matrix expected = product(*backend, *expected_weight, nullptr, x, 0, 2);
    REQUIRE(product(*backend, *weight, nullptr, x, 0, 2).same_bits(expected));
  }
}

}  // namespace
}  // namespace quire::engine
