// What the kernels reach, as one table: the ceilings, then attention, products, sampling, swaps and
// decode steps of a Llama-3-8B. ../cuda.md says what each row means.
//
//   benchmarks PLUGIN [--small] [--rows FILE] [PART...]     PART: attention, products, sampling,
//                                                           swaps, decode; default: all
//
// --small: sizes that an emulated device gets through, to try the program without a GPU; its
// figures mean nothing. --rows: the rows once more, tab-separated, for peers.py.

#include "tests/bench/cuda/benchmarks.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

#include "engine/backend/cuda/cuda_backend.h"
#include "engine/backend/plugin.h"
#include "tests/bench/cuda/device_step.h"
#include "tests/bench/cuda/watched_api.h"

namespace quire::engine::bench {

namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

ModelShape model_shape(const Bench& bench) {
  if (bench.small) return {2, 2, 1, 128, 256, 640};
  return {32, 32, 8, 4096, 14336, 128256};
}

RandomRows::RandomRows(std::int64_t rows_and_cols) {
  std::mt19937 random(11);
  Matrix table = Matrix::random(1, rows_and_cols, random);
  for (std::int64_t i = 0; i < rows_and_cols; ++i) table.data()[i] *= 0.02f;
  (void)table.as_weight(DType::kBFloat16, bytes_);
}

HostTensor RandomRows::matrix(std::int64_t rows, std::int64_t cols) const {
  CHECK_LE((rows + cols) * 2, static_cast<std::int64_t>(bytes_.size()));
  return {.data = bytes_.data(),
          .dtype = DType::kBFloat16,
          .rows = rows,
          .cols = cols,
          .row_stride = 1};
}

std::unique_ptr<Weight> RandomRows::weight(Backend& backend, std::int64_t n, std::int64_t k) const {
  const HostTensor part = matrix(n, k);
  return backend.prepare_weight({&part, 1}, DType::kBFloat16);
}

DeviceBuffer RandomRows::rows(Backend& backend, std::int64_t rows, std::int64_t cols) const {
  const HostTensor part = matrix(rows, cols);
  return backend.prepare_vector({&part, 1});
}

double time_ops(Backend& backend, const BatchInput& batch, const std::function<void(int)>& op) {
  const auto measure = [&](int repeats) {
    backend.begin_step(batch);
    const auto begin = Clock::now();
    for (int i = 0; i < repeats; ++i) op(i);
    backend.end_step();
    return std::chrono::duration<double>(Clock::now() - begin).count() / repeats;
  };
  (void)measure(3);
  return measure(repeats_of(measure(3)));
}

TensorView activations(const DeviceBuffer& buffer, std::int64_t rows, std::int64_t cols) {
  CHECK_LE(rows * cols * 4, buffer.bytes());
  return {.data = buffer.data(), .rows = rows, .cols = cols, .row_stride = cols};
}

void fill_pages(Backend& backend, KvLayer first, std::int32_t layers, std::int64_t pages) {
  const std::int64_t cols = std::int64_t{first.num_kv_heads} * first.head_dim;
  std::mt19937 random(13);
  const Matrix values = Matrix::random(first.block_size, cols, random);
  const DeviceBuffer q = values.upload(backend);
  const DeviceBuffer k = values.upload(backend);
  const DeviceBuffer v = Matrix::random(first.block_size, cols, random).upload(backend);
  // One sequence whose only page is page 0.
  const Step step({Chunk{0, first.block_size}}, first.block_size, 1);
  const BatchInput batch = step.batch(false);
  backend.begin_step(batch);
  KvLayer layer = first;
  for (std::int32_t l = 0; l < layers; ++l) {
    backend.rope_and_write_kv(values.view(q), values.view(k), values.view(v), {}, layer, batch);
    layer.layer_offset += 2 * layer.part_bytes;
  }
  for (std::int64_t page = 1; page < pages; ++page) {
    backend.copy_page(first, BlockId{0}, BlockId{static_cast<std::int32_t>(page)});
  }
  backend.end_step();
}

}  // namespace quire::engine::bench

namespace {

using namespace quire::engine;

struct Part {
  const char* name;
  void (*run)(bench::Bench& bench);
};
constexpr Part kParts[] = {{"attention", bench::bench_attention},
                           {"products", bench::bench_products},
                           {"sampling", bench::bench_sampling},
                           {"swaps", bench::bench_swaps},
                           {"decode", bench::bench_decode}};

int run(const std::string& plugin, bool small, const std::string& rows,
        const std::vector<std::string>& only) {
  const QuireCudaApi& api = bench::watched(open_cuda_plugin(plugin));
  const auto backend = make_cuda_backend(api, {});
  bench::Report report(rows);
  std::string why;
  const auto cublas = bench::CublasLt::open(why);
  if (cublas == nullptr) std::printf("no cuBLASLt beside ours: %s\n", why.c_str());
  backend->reserve(8192, 256, 28672, 131072);
  bench::Bench all{api, *backend, report, cublas.get(), small};
  report.head();
  bench::bench_ceilings(all);
  for (const Part& part : kParts) {
    if (only.empty() || std::find(only.begin(), only.end(), part.name) != only.end()) part.run(all);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  const bool small = std::erase(words, "--small") > 0;
  std::string rows;
  const auto flag = std::find(words.begin(), words.end(), "--rows");
  if (flag != words.end() && flag + 1 != words.end()) {
    rows = *(flag + 1);
    words.erase(flag, flag + 2);
  }
  if (words.empty()) {
    std::fprintf(stderr, "usage: benchmarks PLUGIN [--small] [--rows FILE] [PART...]\n");
    return 2;
  }
  try {
    return run(words[0], small, rows, {words.begin() + 1, words.end()});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmarks: %s\n", error.what());
    return 1;
  }
}
