// Attention of 32 query and 8 KV heads of 128 over bfloat16 pages in random order, in a pool laid
// out for a model's layers: decodes against the copy's rate, a prompt against the product's.

#include <cmath>

#include "tests/bench/cuda/benchmarks.h"
#include "tests/bench/cuda/device_step.h"

namespace quire::engine::bench {

namespace {

constexpr std::int32_t kHeads = 32, kKvHeads = 8, kDim = 128, kBlock = 16, kLayers = 32;
constexpr std::int64_t kSpare = std::int64_t{4} << 30;  // of memory, for all but the pages

struct Load {
  std::int32_t sequences = 1;
  std::int32_t context = 0;
  std::int32_t tokens = 1;  // the last of each sequence
  double due = 0.0;
};

// Each pair of a query and a key that it sees costs 2 x 128 operations for the score and as many
// for the weighted sum, for each query head.
double operations(const Load& load) {
  const double tokens = load.tokens;
  const double seen = tokens * (load.context - load.tokens) + 0.5 * tokens * (tokens + 1.0);
  return 4.0 * kHeads * kDim * seen * load.sequences;
}

// Keys and values of one layer, 2 bytes each.
double bytes_read(const Load& load) {
  return 2.0 * 2.0 * kKvHeads * kDim * static_cast<double>(load.context) * load.sequences;
}

// Fewer layers than the model's where its pages have no room: the pages lie closer together then,
// and the row says so. 0: not even one layer's fit.
std::int32_t layers_that_fit(const Backend& backend, std::int64_t pages) {
  const auto memory = backend.device_memory();
  for (std::int32_t layers = kLayers; memory && layers > 0; layers /= 2) {
    const KvLayer layer = layer_of(kKvHeads, kDim, DType::kBFloat16, kBlock, layers);
    if (layer.page_bytes * pages <= memory->free - kSpare) return layers;
  }
  return 0;
}

double seconds_of(Backend& backend, const KvLayer& layer, const Load& load, std::int32_t pages) {
  const std::vector<Chunk> chunks(static_cast<std::size_t>(load.sequences),
                                  Chunk{load.context - load.tokens, load.tokens});
  const Step step(chunks, kBlock, pages);
  const std::int64_t rows = std::int64_t{load.sequences} * load.tokens;
  const RandomRows random(rows + kHeads * kDim);
  const DeviceBuffer in = random.rows(backend, rows, kHeads * kDim);
  const DeviceBuffer out = backend.allocate(rows * kHeads * kDim * 4);
  const BatchInput batch = step.batch(false);
  return time_ops(backend, batch, [&](int) {
    backend.attention(activations(in, rows, kHeads * kDim), layer,
                      {.num_heads = kHeads, .scale = 1.0f / std::sqrt(128.0f), .window = 0}, batch,
                      activations(out, rows, kHeads * kDim));
  });
}

void measure(Bench& bench, const Load& load) {
  const std::int32_t pages = (load.context + kBlock - 1) / kBlock;
  const std::int64_t all = std::int64_t{pages} * load.sequences;
  std::string name = load.tokens == 1 ? "decode attention, batch " + std::to_string(load.sequences)
                                      : "prefill attention, " + std::to_string(load.tokens);
  name += load.tokens == 1 ? ", context " + std::to_string(load.context) : " tokens, causal";
  const std::int32_t layers = layers_that_fit(bench.backend, all);
  if (layers == 0) return bench.report.skip(name, "no room");
  if (layers < kLayers) name += ", " + std::to_string(layers) + " layers";
  KvLayer layer = layer_of(kKvHeads, kDim, DType::kBFloat16, kBlock, layers);
  const DeviceBuffer pool = bench.backend.allocate(layer.page_bytes * all);
  layer.pool = static_cast<std::byte*>(pool.data());
  fill_pages(bench.backend, layer, 1, all);
  const double seconds = seconds_of(bench.backend, layer, load, pages);
  const bool decode = load.tokens == 1;
  bench.report.add({.name = name,
                    .seconds = seconds,
                    .amount = decode ? bytes_read(load) : operations(load),
                    .unit = decode ? "GB/s" : "TFLOP/s",
                    .ceiling = decode ? Ceiling::kCopy : Ceiling::kProduct,
                    .due = load.due});
}

}  // namespace

void bench_attention(Bench& bench) {
  if (bench.small) {
    measure(bench, {.sequences = 2, .context = 600, .due = 0.65});
    return measure(bench, {.context = 40, .tokens = 40, .due = 0.35});
  }
  for (const std::int32_t sequences : {64, 1, 256}) {
    for (const std::int32_t context : {8192, 512, 131072}) {
      const bool due = sequences == 64 && context == 8192;
      measure(bench, {.sequences = sequences, .context = context, .due = due ? 0.65 : 0.0});
    }
  }
  measure(bench, {.context = 8192, .tokens = 8192, .due = 0.35});
}

}  // namespace quire::engine::bench
