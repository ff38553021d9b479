// Our products against cuBLASLt's on the same rounded operands: what is left is the order of sums.

#include "tests/bench/cuda/cublas_lt.h"
#include "tests/bench/cuda/op_tests.h"

namespace quire::engine::bench {

namespace {

// Two orders of some thousand float32 additions, each with the tensor cores' rounding.
constexpr double kOrder = 1e-4;

}  // namespace

void test_products_against_cublas(Backend& gpu) {
  std::string why;
  const auto cublas = CublasLt::open(why);
  if (cublas == nullptr) {
    std::printf("skip   products against cuBLASLt: %s\n", why.c_str());
    return;
  }
  struct Shape {
    std::int64_t m, n, k;
  };
  // Few rows and many, K of one slice and of several; multiples of 8, as its 16-bit paths want.
  const Shape shapes[] = {{1, 64, 64},      {8, 4096, 4096},  {17, 136, 192},
                          {64, 1024, 8192}, {200, 512, 2104}, {512, 4096, 1024}};
  std::mt19937 random(21);
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    for (const Shape& s : shapes) {
      const Matrix x = Matrix::random(s.m, s.k, random);
      const Matrix weight = Matrix::random(s.n, s.k, random);
      const double off =
          distance(product_on(gpu, x, weight, dtype), cublas->product(x, weight, dtype));
      expect(off <= kOrder,
             "linear " + std::to_string(s.m) + " x " + std::to_string(s.n) + " x " +
                 std::to_string(s.k) + ", type " + std::to_string(static_cast<int>(dtype)) +
                 " against cuBLASLt",
             off);
    }
  }
}

}  // namespace quire::engine::bench
