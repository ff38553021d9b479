// What the kernels reach, as one table: the two ceilings, attention, products, a decode step.
//
//   benchmarks PLUGIN

#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include "engine/backend/cuda/cuda_backend.h"
#include "engine/backend/cuda/device.h"
#include "engine/backend/plugin.h"
#include "tests/bench/cuda/device_step.h"

namespace {

using namespace quire;
using namespace quire::engine;
using bench::Chunk;
using bench::Matrix;
using bench::Step;
using Clock = std::chrono::steady_clock;

constexpr int kRepeats = 20;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void line(const std::string& what, double seconds, double figure, const char* unit) {
  std::printf("| %-52s | %10.1f us | %9.1f %-8s |\n", what.c_str(), seconds * 1e6, figure, unit);
  std::fflush(stdout);
}

// Seconds of one `op`, of kRepeats in one step, after a warm one.
double time_ops(Backend& backend, const BatchInput& batch, const std::function<void()>& op) {
  double seconds = 0.0;
  for (const int repeats : {2, kRepeats}) {
    backend.begin_step(batch);
    const auto begin = Clock::now();
    for (int i = 0; i < repeats; ++i) op();
    backend.end_step();
    seconds = seconds_since(begin) / repeats;
  }
  return seconds;
}

void copy_ceiling(const QuireCudaApi& api) {
  constexpr std::int64_t kBytes = std::int64_t{2} << 30;
  cuda::Device device(api);
  cuda::Stream stream(device);
  const cuda::Memory from(device, kQuireCudaDevice, kBytes);
  const cuda::Memory to(device, kQuireCudaDevice, kBytes);
  stream.copy(to.data(), from.data(), kBytes);
  stream.synchronize();
  const auto begin = Clock::now();
  for (int i = 0; i < kRepeats; ++i) stream.copy(to.data(), from.data(), kBytes);
  stream.synchronize();
  const double seconds = seconds_since(begin) / kRepeats;
  line("device copy of 2 GiB, bytes read and written", seconds, 2.0 * kBytes / seconds / 1e9,
       "GB/s");
}

void attention(Backend& backend, std::int32_t sequences, std::int32_t context,
               std::int32_t tokens) {
  constexpr std::int32_t kHeads = 32, kKvHeads = 8, kDim = 128, kBlock = 16, kLayers = 32;
  KvLayer layer = bench::layer_of(kKvHeads, kDim, DType::kBFloat16, kBlock, kLayers);
  const std::int32_t pages = (context + kBlock - 1) / kBlock;
  const auto memory = backend.device_memory();
  const std::int64_t bytes = layer.page_bytes * pages * sequences;
  const std::string name = "attention, batch " + std::to_string(sequences) + ", context " +
                           std::to_string(context) + ", " + std::to_string(tokens) + " queries";
  if (!memory || bytes > memory->free - (std::int64_t{4} << 30)) {
    std::printf("| %-52s | no room for %lld GiB of pages |\n", name.c_str(),
                static_cast<long long>(bytes >> 30));
    return;
  }
  const DeviceBuffer pool = backend.allocate(bytes);
  layer.pool = static_cast<std::byte*>(pool.data());
  const std::vector<Chunk> chunks(static_cast<std::size_t>(sequences),
                                  Chunk{context - tokens, tokens});
  const Step step(chunks, kBlock, pages);
  const std::int64_t rows = std::int64_t{sequences} * tokens;
  const Matrix q(rows, kHeads * kDim);
  const DeviceBuffer in = q.upload(backend);
  const DeviceBuffer out = q.upload(backend);
  const BatchInput batch = step.batch(false);
  const double seconds = time_ops(backend, batch, [&] {
    backend.attention(q.view(in), layer,
                      {.num_heads = kHeads, .scale = 1.0f / std::sqrt(128.0f), .window = 0}, batch,
                      q.view(out));
  });
  if (tokens == 1) {
    const double read = 4.0 * kKvHeads * kDim * context * sequences;
    line(name, seconds, read / seconds / 1e9, "GB/s");
  } else {
    const double seen = double{1} * tokens * (context - tokens) + 0.5 * tokens * (tokens + 1.0);
    line(name, seconds, 4.0 * kHeads * kDim * seen * sequences / seconds / 1e12, "TFLOP/s");
  }
}

std::unique_ptr<Weight> zero_weight(Backend& backend, std::int64_t n, std::int64_t k) {
  const std::vector<std::byte> row(static_cast<std::size_t>(k) * 2, std::byte{0x3c});
  const HostTensor part{.data = row.data(),
                        .dtype = DType::kBFloat16,
                        .rows = n,
                        .cols = k,
                        .row_stride = 0};  // the same row n times
  return backend.prepare_weight({&part, 1}, DType::kBFloat16);
}

void products(Backend& backend) {
  for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{6144, 4096},
                             {4096, 4096},
                             {28672, 4096},
                             {4096, 14336},
                             {128256, 4096}}) {
    const auto weight = zero_weight(backend, n, k);
    for (const std::int64_t rows : {1, 16, 64, 256, 4096}) {
      if (n > 100000 && rows > 256) continue;
      const Matrix x(rows, k);
      const Matrix y(rows, n);
      const DeviceBuffer in = x.upload(backend);
      const DeviceBuffer out = y.upload(backend);
      const double seconds =
          time_ops(backend, {}, [&] { backend.linear(x.view(in), *weight, nullptr, y.view(out)); });
      const std::string name = "product, M " + std::to_string(rows) + ", N " + std::to_string(n) +
                               ", K " + std::to_string(k);
      if (rows <= 64) {
        line(name, seconds, 2.0 * static_cast<double>(n * k) / seconds / 1e9, "GB/s");
      } else {
        line(name, seconds, 2.0 * static_cast<double>(n * k * rows) / seconds / 1e12, "TFLOP/s");
      }
    }
  }
}

// Llama-3-8B's shape: 32 layers that share one layer's weights, which no cache holds.
void decode_step(Backend& backend, std::int32_t sequences) {
  constexpr std::int32_t kLayers = 32, kHidden = 4096, kInner = 14336, kBlock = 16, kContext = 1024;
  const auto qkv = zero_weight(backend, 6144, kHidden);
  const auto output = zero_weight(backend, kHidden, kHidden);
  const auto gate_up = zero_weight(backend, 2 * kInner, kHidden);
  const auto down = zero_weight(backend, kHidden, kInner);
  KvLayer layer = bench::layer_of(8, 128, DType::kBFloat16, kBlock, kLayers);
  const std::int32_t pages = kContext / kBlock;
  const DeviceBuffer pool = backend.allocate(layer.page_bytes * pages * sequences);
  layer.pool = static_cast<std::byte*>(pool.data());
  const Step step({static_cast<std::size_t>(sequences), Chunk{kContext - 1, 1}}, kBlock, pages);
  const BatchInput batch = step.batch(true);
  const std::int64_t rows = (sequences + 7) / 8 * 8;  // room for padding
  const Matrix hidden(rows, kHidden), wide(rows, 2 * kInner), inner(rows, kInner),
      heads(rows, 6144);
  const DeviceBuffer residual = hidden.upload(backend), normed = hidden.upload(backend),
                     delta = hidden.upload(backend), attended = hidden.upload(backend),
                     w = wide.upload(backend), i = inner.upload(backend), h = heads.upload(backend),
                     table = Matrix(kContext, 128).upload(backend);
  const auto head = [&](TensorView view) { return view.head(sequences); };
  const auto forward = [&] {
    const TensorView all = head(heads.view(h));
    const auto* norm = static_cast<const float*>(table.data());
    backend.rms_norm(head(hidden.view(residual)), head(hidden.view(delta)), norm, 1e-5f,
                     head(hidden.view(normed)));
    backend.linear(head(hidden.view(normed)), *qkv, nullptr, all);
    backend.rope_and_write_kv(all.columns(0, 4096), all.columns(4096, 1024),
                              all.columns(5120, 1024), {.cos_sin = norm, .rotary_dim = 128}, layer,
                              batch);
    backend.attention(all.columns(0, 4096), layer, {.num_heads = 32, .scale = 0.088f, .window = 0},
                      batch, head(hidden.view(attended)));
    backend.linear(head(hidden.view(attended)), *output, nullptr, head(hidden.view(delta)));
    backend.rms_norm(head(hidden.view(residual)), head(hidden.view(delta)), norm, 1e-5f,
                     head(hidden.view(normed)));
    backend.linear(head(hidden.view(normed)), *gate_up, nullptr, head(wide.view(w)));
    backend.silu_and_mul(head(wide.view(w)), head(inner.view(i)));
    backend.linear(head(inner.view(i)), *down, nullptr, head(hidden.view(delta)));
  };
  double seconds = 0.0;
  for (int repeat = 0; repeat < 10; ++repeat) {
    const auto begin = Clock::now();
    backend.begin_step(batch);
    for (int l = 0; l < kLayers; ++l) forward();
    backend.end_step();
    seconds = seconds_since(begin);  // the last: a replayed graph
  }
  const double bytes = 32.0 * 2 * (6144.0 * 4096 + 4096.0 * 4096 + 3.0 * kInner * 4096);
  const std::string name = "32 layers of 8B, context 1024, batch " + std::to_string(sequences);
  line(name + ", weights", seconds, bytes / seconds / 1e9, "GB/s");
  line(name, seconds, sequences / seconds, "tokens/s");
}

// 32 rows of a vocabulary of 128,256, with the round trip.
void sampling(Backend& backend) {
  constexpr std::int32_t kRows = 32;
  constexpr std::int64_t kVocab = 128256;
  std::mt19937 random(5);
  const Matrix logits = Matrix::random(kRows, kVocab, random);
  const DeviceBuffer buffer = logits.upload(backend);
  std::vector<SamplingParams> kinds(4);
  kinds[0].temperature = 0.0f;
  kinds[2].top_k = 50;
  kinds[3].top_p = 0.02f;
  const char* names[] = {"greedy", "temperature", "top_k 50", "top_p"};
  for (std::size_t kind = 0; kind < 4; ++kind) {
    const std::vector<scheduler::StepSample> samples(kRows,
                                                     {.params = &kinds[kind], .history = {}});
    std::vector<SampledRow> rows(kRows);
    const double seconds = time_ops(backend, {}, [&] {
      backend.sample({.logits = logits.view(buffer),
                      .samples = samples,
                      .end_token_ids = {},
                      .rows = rows,
                      .tops = {}});
    });
    line(std::string("sampling, 32 x 128256, ") + names[kind], seconds,
         static_cast<double>(kRows * kVocab * 4) / seconds / 1e9, "GB/s");
  }
}

int run(const char* path) {
  const QuireCudaApi& api = open_cuda_plugin(path);
  copy_ceiling(api);
  const auto backend = make_cuda_backend(api, {});
  backend->reserve(8192, 256, 28672, 131072);
  for (const std::int32_t sequences : {1, 64, 256}) {
    for (const std::int32_t context : {512, 8192, 131072})
      attention(*backend, sequences, context, 1);
  }
  attention(*backend, 1, 8192, 8192);
  products(*backend);
  sampling(*backend);
  for (const std::int32_t sequences : {1, 16, 64, 256}) decode_step(*backend, sequences);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: benchmarks PLUGIN\n");
    return 2;
  }
  try {
    return run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmarks: %s\n", error.what());
    return 1;
  }
}
