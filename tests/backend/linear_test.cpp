// The matrix product: every variant of the CPU backend gives the reference's bits, but for AMX on
// bfloat16, which gives those of split_format.h's chain.

#include <cmath>

#include "tests/backend/split_oracle.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using testing::CpuVariant;
using testing::expected_product;
using testing::FileTensor;
using testing::Matrix;
using testing::split_product;
using testing::splits;

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

struct Shape {
  std::int64_t outputs;
  std::int64_t inputs;
};

// Odd in every way: less than a panel, one more than some panels, k beyond a block and no multiple
// of a vector.
constexpr Shape kShapes[] = {{1, 1}, {31, 7}, {33, 100}, {96, 64}, {161, 801}};

Matrix product(Backend& backend, const Weight& weight, const float* bias, Matrix& x,
               std::int64_t first_row, std::int64_t rows) {
  Matrix out(rows, weight.rows(), 3);
  backend.linear(x.rows_of(first_row, rows), weight, bias, out.view());
  return out;
}

void check_shape(const CpuVariant& variant, DType dtype, Shape shape) {
  std::mt19937 random(17);
  const Matrix values = Matrix::random(shape.outputs, shape.inputs, random);
  const FileTensor file(values, dtype);
  const HostTensor parts[] = {file.tensor()};
  const Matrix bias = Matrix::random(1, shape.outputs, random);
  Matrix x = Matrix::random(80, shape.inputs, random, 5);

  const auto reference = make_reference_backend();
  const auto backend = make_cpu_backend(variant.threads, variant.isa);
  backend->reserve(128, 16, shape.inputs, 64);
  const auto reference_weight = reference->prepare_weight(parts);
  const auto weight = backend->prepare_weight(parts);
  const Matrix expected =
      expected_product(variant, dtype, *reference, *reference_weight, bias.row(0), x);
  const Matrix expected_plain =
      expected_product(variant, dtype, *reference, *reference_weight, nullptr, x);

  // Every number up to two tiles, then some of several blocks.
  for (std::int64_t rows = 1; rows <= x.rows(); rows += rows < 34 ? 1 : 23) {
    const std::int64_t first =
        x.rows() - rows;  // the last rows: another place in the block each time
    const Matrix actual = product(*backend, *weight, bias.row(0), x, first, rows);
    const Matrix plain = product(*backend, *weight, nullptr, x, first, rows);
    std::int64_t different = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
      different += !actual.same_row(r, expected, first + r);
      different += !plain.same_row(r, expected_plain, first + r);
    }
    INFO(rows << " rows");
    REQUIRE(different == 0);
  }
}

TEST_CASE("linear is bit-equal to its chain for any rows, threads and instruction set") {
  for (const CpuVariant& variant : testing::cpu_variants()) {
    for (const DType dtype : kDTypes) {
      for (const Shape shape : kShapes) {
        INFO(variant.isa << ", " << variant.threads << " threads, dtype " << static_cast<int>(dtype)
                         << ", " << shape.outputs << " x " << shape.inputs);
        check_shape(variant, dtype, shape);
      }
    }
  }
}

TEST_CASE("linear is bit-equal where rows are grouped and k is the outer loop") {
  std::mt19937 random(23);
  const Shape shape{97, 1700};
  const FileTensor file(Matrix::random(shape.outputs, shape.inputs, random), DType::kBFloat16);
  const HostTensor parts[] = {file.tensor()};
  const Matrix bias = Matrix::random(1, shape.outputs, random);
  Matrix x = Matrix::random(531, shape.inputs, random);
  const auto reference = make_reference_backend();
  const auto reference_weight = reference->prepare_weight(parts);
  const Matrix chain = product(*reference, *reference_weight, bias.row(0), x, 0, x.rows());
  const Matrix split_chain = split_product(*reference, *reference_weight, bias.row(0), x);
  for (const CpuVariant& variant : testing::cpu_variants()) {
    const Matrix& expected = splits(variant, DType::kBFloat16) ? split_chain : chain;
    const auto backend = make_cpu_backend(variant.threads, variant.isa);
    backend->reserve(600, 16, shape.inputs, 64);
    const auto weight = backend->prepare_weight(parts);
    for (const std::int64_t rows : {531, 300, 257, 256, 150}) {
      INFO(variant.isa << ", " << variant.threads << " threads, " << rows << " rows");
      const Matrix actual = product(*backend, *weight, bias.row(0), x, x.rows() - rows, rows);
      std::int64_t different = 0;
      for (std::int64_t r = 0; r < rows; ++r) {
        different += !actual.same_row(r, expected, x.rows() - rows + r);
      }
      REQUIRE(different == 0);
    }
  }
}

TEST_CASE("parts are stacked, transposed views are read as such, and embed gives the rows back") {
  std::mt19937 random(5);
  const std::int64_t inputs = 45;
  const Matrix values[] = {Matrix::random(40, inputs, random), Matrix::random(9, inputs, random),
                           Matrix::random(21, inputs, random)};
  Matrix x = Matrix::random(3, inputs, random);
  for (const DType dtype : kDTypes) {
    const FileTensor files[] = {FileTensor(values[0], dtype), FileTensor(values[1], dtype, true),
                                FileTensor(values[2], dtype)};
    const HostTensor parts[] = {files[0].tensor(), files[1].tensor(), files[2].tensor()};
    const auto reference = make_reference_backend();
    const auto reference_weight = reference->prepare_weight(parts);
    REQUIRE(reference_weight->rows() == 70);
    REQUIRE(reference_weight->cols() == inputs);
    const std::vector<std::int32_t> ids{69, 0, 40, 48, 31, 32, 0};
    Matrix rows(static_cast<std::int64_t>(ids.size()), inputs, 1);
    reference->embed(*reference_weight, ids, rows.view());
    REQUIRE(rows.row(0)[44] ==
            load_float(parts[2].data + (20 * 45 + 44) * dtype_bytes(dtype), dtype));
    REQUIRE(rows.row(3)[2] == load_float(parts[1].data + (2 * 9 + 8) * dtype_bytes(dtype), dtype));
    for (const CpuVariant& variant : testing::cpu_variants()) {
      const auto backend = make_cpu_backend(variant.threads, variant.isa);
      backend->reserve(8, 8, inputs, 64);
      const auto weight = backend->prepare_weight(parts);
      REQUIRE(weight->rows() == 70);
      Matrix actual_rows(rows.rows(), inputs, 1);
      backend->embed(*weight, ids, actual_rows.view());
      REQUIRE(actual_rows.same_bits(rows));
      const Matrix expected =
          expected_product(variant, dtype, *reference, *reference_weight, nullptr, x);
      REQUIRE(product(*backend, *weight, nullptr, x, 0, 3).same_bits(expected));
    }
  }
}

TEST_CASE("two bfloat16 make up a float, and their product is float32's") {
  std::mt19937 random(11);
  Matrix x = Matrix::random(3, 1000, random);
  for (std::int64_t k = 0; k < x.cols(); ++k) {
    const SplitFloat parts = split(x.row(0)[k]);
    const double rest = double{x.row(0)[k]} - parts.part[0] - parts.part[1];
    REQUIRE(std::abs(rest) <= 0x1p-17 * std::abs(x.row(0)[k]));
  }
  const FileTensor file(Matrix::random(50, x.cols(), random), DType::kBFloat16);
  const HostTensor parts[] = {file.tensor()};
  const auto reference = make_reference_backend();
  const auto weight = reference->prepare_weight(parts);
  const Matrix chain = product(*reference, *weight, nullptr, x, 0, x.rows());
  REQUIRE(split_product(*reference, *weight, nullptr, x).distance(chain) < 5e-6);
}

TEST_CASE("vectors are widened and put after one another") {
  std::mt19937 random(6);
  const Matrix a = Matrix::random(1, 5, random);
  const Matrix b = Matrix::random(1, 3, random);
  const FileTensor files[] = {FileTensor(a, DType::kFloat32), FileTensor(b, DType::kBFloat16)};
  const HostTensor parts[] = {files[0].tensor(), files[1].tensor()};
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(make_reference_backend());
  for (const CpuVariant& variant : testing::cpu_variants()) {
    backends.push_back(make_cpu_backend(variant.threads, variant.isa));
  }
  for (const auto& backend : backends) {
    const DeviceBuffer buffer = backend->prepare_vector(parts);
    const auto* values = static_cast<const float*>(buffer.data());
    for (int i = 0; i < 5; ++i) REQUIRE(values[i] == a.row(0)[i]);
    for (int i = 0; i < 3; ++i) {
      REQUIRE(values[5 + i] == bfloat16_to_float(float_to_bfloat16(b.row(0)[i])));
    }
  }
}

TEST_CASE("linear and embed accept no rows") {
  std::mt19937 random(7);
  const FileTensor file(Matrix::random(8, 4, random), DType::kFloat32);
  const HostTensor parts[] = {file.tensor()};
  for (const CpuVariant& variant : testing::cpu_variants()) {
    const auto backend = make_cpu_backend(variant.threads, variant.isa);
    backend->reserve(8, 8, 4, 64);
    const auto weight = backend->prepare_weight(parts);
    Matrix x(0, 4);
    Matrix out(0, 8);
    backend->linear(x.view(), *weight, nullptr, out.view());
    backend->embed(*weight, {}, x.view());
  }
}

}  // namespace
}  // namespace quire::engine
