// Every op of the plug-in on a GPU against the reference backend, at odd shapes; and the law: the
// same bits for a row whatever its company.
//
//   op_tests PLUGIN [--small] [rows|products|cublas|attention|sampling|pages|graphs]
//
// Exit status 0: all agree; 1: some do not. --small: every kernel once or twice, at sizes that
// compute-sanitizer gets through in a minute.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "engine/backend/cuda/cuda_backend.h"
#include "engine/backend/plugin.h"
#include "tests/bench/cuda/op_tests.h"

namespace quire::engine::bench {

double distance(const Matrix& a, const Matrix& b) {
  double largest = 0.0;
  double size = 1.0;
  for (std::int64_t i = 0; i < a.rows() * a.cols(); ++i) {
    const double difference = std::abs(double{a.data()[i]} - double{b.data()[i]});
    if (!(difference <= largest)) largest = difference;
    size = std::max(size, std::abs(double{b.data()[i]}));
  }
  return largest / size;
}

}  // namespace quire::engine::bench

namespace {

using namespace quire;
using namespace quire::engine;
using bench::Chunk;
using bench::distance;
using bench::expect;
using bench::Matrix;
using bench::Step;

constexpr double kHalf = 2e-2;   // 16-bit operands against float32
constexpr double kFloat = 2e-5;  // another order of sums

// Runs `ops` in a step of `backend` on uploads of `inputs`; the last one comes back.
template <typename Ops>
Matrix run(Backend& backend, const BatchInput& batch, const std::vector<Matrix>& inputs,
           const Ops& ops) {
  std::vector<DeviceBuffer> buffers;
  std::vector<TensorView> views;
  for (const Matrix& input : inputs) {
    buffers.push_back(input.upload(backend));
    views.push_back(input.view(buffers.back()));
  }
  backend.begin_step(batch);
  ops(views);
  Matrix out(inputs.back().rows(), inputs.back().cols());
  const float* result = backend.to_host(views.back());
  std::copy_n(result, out.rows() * out.cols(), out.data());
  backend.end_step();
  return out;
}

void test_products(Backend& gpu, Backend& reference) {
  std::mt19937 random(1);
  using Size = std::pair<std::int64_t, std::int64_t>;
  std::vector<Size> sizes{{33, 40}, {130, 192}};
  if (!bench::small) sizes.insert(sizes.end(), {Size{512, 2100}, Size{4096, 4096}});
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    for (const auto& [n, k] : sizes) {
      std::vector<std::byte> bytes;
      const HostTensor parts[] = {Matrix::random(n, k, random).as_weight(dtype, bytes)};
      const auto weight = gpu.prepare_weight(parts, dtype);
      const auto expected_weight = reference.prepare_weight(parts, dtype);
      const Matrix bias = Matrix::random(1, n, random);
      const Matrix all = Matrix::random(140, k, random);
      const auto product = [&](Backend& backend, const Weight& w, std::int64_t rows) {
        Matrix x(rows, k);
        std::copy_n(all.data() + (140 - rows) * k, rows * k, x.data());
        return run(backend, {}, {bias, x, Matrix(rows, n)}, [&](const auto& v) {
          backend.linear(v[1], w, static_cast<const float*>(v[0].data), v[2]);
        });
      };
      const std::string name = "linear " + std::to_string(n) + " x " + std::to_string(k) +
                               ", type " + std::to_string(static_cast<int>(dtype));
      const Matrix whole = product(gpu, *weight, 140);
      const Matrix few = product(reference, *expected_weight, 4);
      Matrix last(4, n);
      std::copy_n(whole.data() + 136 * n, 4 * n, last.data());
      const double off = distance(last, few);
      expect(off <= (dtype == DType::kFloat32 ? 0.0 : kHalf), name + " against the reference", off);
      for (const std::int64_t rows : {1, 7, 9, 16, 17, 33, 64, 65, 128}) {
        const Matrix out = product(gpu, *weight, rows);
        const bool same = std::memcmp(out.data(), whole.data() + (140 - rows) * n,
                                      static_cast<std::size_t>(rows * n) * 4) == 0;
        expect(same, name + ": bits of " + std::to_string(rows) + " rows alone", 0.0);
      }
    }
  }
}

struct Shape {
  std::int32_t heads, kv_heads, dim, rotary, window;
  DType dtype;
};

// Sequences written and read in chunks of `chunk` tokens; outputs of all of them.
Matrix attend(Backend& backend, const Shape& s, std::int32_t length, std::int32_t chunk,
              std::int32_t block_size) {
  std::mt19937 random(3);
  constexpr std::int32_t kSequences = 3;
  const std::int32_t pages = (length + block_size - 1) / block_size;
  const Matrix q = Matrix::random(kSequences * length, s.heads * s.dim, random);
  const Matrix k = Matrix::random(kSequences * length, s.kv_heads * s.dim, random);
  const Matrix v = Matrix::random(kSequences * length, s.kv_heads * s.dim, random);
  Matrix table(length, std::max(s.rotary, 2));
  for (std::int64_t i = 0; i < table.rows() * table.cols(); ++i)
    table.data()[i] = std::cos(i * 0.1f);
  const DeviceBuffer rope = table.upload(backend);
  KvLayer layer = bench::layer_of(s.kv_heads, s.dim, s.dtype, block_size, 3);
  const DeviceBuffer pool = backend.allocate(layer.page_bytes * pages * kSequences);
  layer.pool = static_cast<std::byte*>(pool.data());
  Matrix out(kSequences * length, s.heads * s.dim);
  for (std::int32_t begin = 0; begin < length; begin += chunk) {
    const std::int32_t n = std::min(chunk, length - begin);
    const Step step({kSequences, Chunk{begin, n}}, block_size, pages);
    const auto rows_of = [&](const Matrix& from) {
      Matrix rows(kSequences * n, from.cols());
      for (std::int32_t i = 0; i < kSequences; ++i) {
        std::copy_n(from.data() + (i * length + begin) * from.cols(), n * from.cols(),
                    rows.data() + i * n * from.cols());
      }
      return rows;
    };
    const BatchInput batch = step.batch(false);
    const Matrix part =
        run(backend, batch, {rows_of(q), rows_of(k), rows_of(v), rows_of(out)}, [&](const auto& x) {
          backend.rope_and_write_kv(
              x[0], x[1], x[2],
              {.cos_sin = static_cast<const float*>(rope.data()), .rotary_dim = s.rotary}, layer,
              batch);
          backend.attention(x[0], layer,
                            {.num_heads = s.heads,
                             .scale = 1.0f / std::sqrt(static_cast<float>(s.dim)),
                             .window = s.window},
                            batch, x[3]);
        });
    for (std::int32_t i = 0; i < kSequences; ++i) {
      std::copy_n(part.data() + i * n * out.cols(), n * out.cols(),
                  out.data() + (i * length + begin) * out.cols());
    }
  }
  return out;
}

void test_attention(Backend& gpu, Backend& reference) {
  const Shape shapes[] = {
      {4, 2, 64, 64, 0, DType::kFloat32},     {8, 2, 64, 64, 0, DType::kFloat16},
      {8, 2, 80, 0, 0, DType::kBFloat16},     {3, 3, 96, 96, 0, DType::kBFloat16},
      {32, 8, 128, 128, 0, DType::kBFloat16}, {2, 1, 256, 0, 0, DType::kFloat16},
      {48, 1, 128, 0, 0, DType::kFloat16},    {6, 2, 32, 32, 200, DType::kBFloat16},
      {32, 8, 128, 128, 0, DType::kInt8},     {6, 2, 40, 40, 200, DType::kInt8},
      {8, 2, 80, 0, 0, DType::kFp8E4M3},      {2, 1, 256, 0, 0, DType::kFp8E4M3}};
  // Prompts of several splits, of which the last is not whole.
  const std::int32_t length = bench::small ? 530 : 1100;
  for (const Shape& s : shapes) {
    const std::string name = "attention " + std::to_string(s.heads) + "/" +
                             std::to_string(s.kv_heads) + " heads of " + std::to_string(s.dim) +
                             ", window " + std::to_string(s.window) + ", type " +
                             std::to_string(static_cast<int>(s.dtype));
    const Matrix whole = attend(gpu, s, length, length, 16);
    const double off = distance(attend(reference, s, 140, 140, 16), attend(gpu, s, 140, 140, 16));
    expect(off <= (s.dtype == DType::kFloat32 ? kFloat : kHalf), name + " against the reference",
           off);
    std::vector<std::pair<std::int32_t, std::int32_t>> cuts{{1, 16}, {7, 32}, {600, 16}};
    if (bench::small) cuts = {{264, 32}};  // 2 tokens are left: a decode's items of two splits
    for (const auto& [chunk, block] : cuts) {
      const Matrix cut = attend(gpu, s, length, chunk, block);
      const bool same = std::memcmp(cut.data(), whole.data(),
                                    static_cast<std::size_t>(cut.rows() * cut.cols()) * 4) == 0;
      expect(same, name + ": bits in chunks of " + std::to_string(chunk), distance(cut, whole));
    }
  }
}

void test_rows(Backend& gpu, Backend& reference) {
  std::mt19937 random(5);
  const Matrix vector = Matrix::random(2, 200, random);
  const Matrix x = Matrix::random(9, 400, random);
  const auto chain = [&](Backend& backend) {
    const std::vector<std::int32_t> order{8, 0, 3, 3};
    return run(backend, {},
               {vector, x, Matrix(9, 200), Matrix(9, 200), Matrix(9, 200), Matrix(4, 200)},
               [&](const auto& v) {
                 const auto* weight = static_cast<const float*>(v[0].data);
                 backend.silu_and_mul(v[1], v[2]);
                 backend.rms_norm(v[2], {}, weight, 1e-5f, v[3]);
                 backend.add(v[2], v[3]);
                 backend.layer_norm(v[2], v[3], weight, weight + 200, 1e-5f, v[4]);
                 backend.gelu_tanh(v[4]);
                 backend.gather_rows(v[4], order, v[5]);
               });
  };
  const double off = distance(chain(gpu), chain(reference));
  expect(off <= kFloat, "activations, norms, gather", off);
}

void test_norms(Backend& gpu, Backend& reference) {
  std::mt19937 random(6);
  const Matrix vector = Matrix::random(1, 200, random);
  const Matrix x = Matrix::random(9, 400, random);
  const auto norm_after_add = [&](Backend& backend) {
    return run(backend, {}, {vector, Matrix(9, 200), x, Matrix(9, 200)}, [&](const auto& v) {
      const auto* weight = static_cast<const float*>(v[0].data);
      backend.rms_norm(v[1], v[2].columns(200, 200), weight, 1e-5f, v[3]);  // rows with a stride
      backend.add(v[1], v[3]);
      backend.rms_norm(v[1], {}, weight, 1e-5f, v[3]);
    });
  };
  const double norm_off = distance(norm_after_add(gpu), norm_after_add(reference));
  expect(norm_off <= kFloat, "rms norms that add, rows with a stride", norm_off);
}

void test_embedding(Backend& gpu, Backend& reference) {
  std::mt19937 random(7);
  const std::vector<std::int32_t> ids{6, 0, 32, 6, 17};
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    std::vector<std::byte> bytes;
    const HostTensor parts[] = {Matrix::random(33, 40, random).as_weight(dtype, bytes)};
    const auto embedded = [&](Backend& backend) {
      const auto table = backend.prepare_weight(parts, dtype);
      return run(backend, {}, {Matrix(5, 40)},
                 [&](const auto& v) { backend.embed(*table, ids, v[0]); });
    };
    const double different = distance(embedded(gpu), embedded(reference));
    expect(different == 0.0, "embedding, type " + std::to_string(static_cast<int>(dtype)),
           different);
  }
}

struct Part {
  const char* name;
  void (*test)(Backend& gpu, Backend& reference);
};
constexpr Part kParts[] = {
    {"rows", test_rows},
    {"rows", test_norms},
    {"rows", test_embedding},
    {"products", test_products},
    {"cublas", [](Backend& gpu, Backend&) { bench::test_products_against_cublas(gpu); }},
    {"attention", test_attention},
    {"sampling", [](Backend& gpu, Backend&) { bench::test_sampling(gpu); }},
    {"pages", [](Backend& gpu, Backend&) { bench::test_pages(gpu); }},
    {"graphs", [](Backend& gpu, Backend&) { bench::test_graphs(gpu); }}};

}  // namespace

namespace quire::engine::bench {

Matrix product_on(Backend& backend, const Matrix& x, const Matrix& weight, DType dtype) {
  std::vector<std::byte> bytes;
  const HostTensor parts[] = {weight.as_weight(dtype, bytes)};
  const auto packed = backend.prepare_weight(parts, dtype);
  return run(backend, {}, {x, Matrix(x.rows(), weight.rows())},
             [&](const auto& v) { backend.linear(v[0], *packed, nullptr, v[1]); });
}

}  // namespace quire::engine::bench

int main(int argc, char** argv) {
  (void)std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what a time limit cuts off is seen so far
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  bench::small = std::erase(words, "--small") > 0;
  if (words.empty() || words.size() > 2) {
    std::fprintf(stderr,
                 "usage: op_tests PLUGIN [--small] [rows|products|cublas|attention|sampling|pages|"
                 "graphs]\n");
    return 2;
  }
  const std::string only = words.size() == 2 ? words[1] : "";
  try {
    const auto gpu = make_cuda_backend(open_cuda_plugin(words[0]), {});
    const auto reference = make_reference_backend();
    gpu->reserve(4096, 64, 16384, 8192);
    std::printf("%s\n", std::string(gpu->name()).c_str());
    for (const Part& part : kParts) {
      // The library's own code is not what the sanitizer is for.
      const bool left_out = bench::small && part.name == std::string_view("cublas");
      if (only.empty() ? !left_out : only == part.name) part.test(*gpu, *reference);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "op_tests: %s\n", error.what());
    return 1;
  }
  std::printf("%d wrong\n", bench::failures);
  return bench::failures == 0 ? 0 : 1;
}
