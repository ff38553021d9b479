// Products of a Llama-3-8B's shapes beside cuBLASLt's on the same shapes; what our fixed order of K
// costs is what is between them, summed as a layer needs them.

#include <algorithm>

#include "tests/bench/cuda/benchmarks.h"

namespace quire::engine::bench {

namespace {

constexpr std::int64_t kMoreThanCaches = std::int64_t{256} << 20;  // bytes

struct Times {
  double ours = 0.0;
  double cublas = 0.0;
};

double seconds_of(Bench& bench, const RandomRows& random, std::int64_t m, std::int64_t n,
                  std::int64_t k) {
  std::vector<std::unique_ptr<Weight>> weights;
  const std::int64_t copies = bench.small ? 2 : kMoreThanCaches / (2 * n * k) + 1;
  for (std::int64_t i = 0; i < copies; ++i) weights.push_back(random.weight(bench.backend, n, k));
  const DeviceBuffer x = random.rows(bench.backend, m, k);
  const DeviceBuffer y = bench.backend.allocate(m * n * 4);
  return time_ops(bench.backend, {}, [&](int i) {
    const Weight& weight = *weights[static_cast<std::size_t>(i) % weights.size()];
    bench.backend.linear(activations(x, m, k), weight, nullptr, activations(y, m, n));
  });
}

// Few rows are bound by the weight's bytes, many by the operations.
Times measure(Bench& bench, const RandomRows& random, std::int64_t m, std::int64_t n,
              std::int64_t k) {
  Times times{.ours = seconds_of(bench, random, m, n, k)};
  if (bench.cublas != nullptr) times.cublas = bench.cublas->seconds(m, n, k);
  const bool bytes = m <= 64;
  const double weights = static_cast<double>(n) * static_cast<double>(k);
  Row row{.name = "product, M " + std::to_string(m) + ", N " + std::to_string(n) + ", K " +
                  std::to_string(k),
          .seconds = times.ours,
          .amount = 2.0 * weights * (bytes ? 1.0 : static_cast<double>(m)),
          .unit = bytes ? "GB/s" : "TFLOP/s",
          .ceiling = bytes ? Ceiling::kCopy : Ceiling::kProduct};
  if (bench.cublas != nullptr) {
    row.due = 0.8;
    row.other = "cuBLAS";
    row.other_seconds = times.cublas;
  }
  bench.report.add(row);
  return times;
}

}  // namespace

void bench_products(Bench& bench) {
  const ModelShape s = model_shape(bench);
  const RandomRows random(std::max(s.vocab, std::int64_t{4096}) + s.inner);
  std::vector<std::int64_t> rows{1, 16, 64, 256, 4096};
  if (bench.small) rows = {1, 70};
  for (const std::int64_t m : rows) {
    Times layer;
    for (const auto& [n, k] : {std::pair{s.qkv(), s.hidden},
                               {s.hidden, s.query()},
                               {2 * s.inner, s.hidden},
                               {s.hidden, s.inner}}) {
      const Times times = measure(bench, random, m, n, k);
      layer.ours += times.ours;
      layer.cublas += times.cublas;
    }
    if (m <= 256) (void)measure(bench, random, m, s.vocab, s.hidden);
    if (bench.cublas == nullptr) continue;
    const double weights =
        static_cast<double>(s.hidden) * static_cast<double>(s.qkv() + s.query() + 3 * s.inner);
    bench.report.add({.name = "batch invariance: a layer's products, M " + std::to_string(m),
                      .seconds = layer.ours,
                      .amount = 2.0 * weights * static_cast<double>(m),
                      .unit = "TFLOP/s",
                      .ceiling = Ceiling::kNone,
                      .due = 0.8,
                      .other = "cuBLAS",
                      .other_seconds = layer.cublas});
  }
}

}  // namespace quire::engine::bench
