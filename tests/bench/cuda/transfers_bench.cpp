// The ceilings: a large copy on the device, a large product by cuBLASLt, the bus both ways; and
// pages swapped out and in beside the last.

#include <algorithm>
#include <chrono>

#include "engine/backend/cuda/device.h"
#include "tests/bench/cuda/benchmarks.h"
#include "tests/bench/cuda/device_step.h"

namespace quire::engine::bench {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_of_copy(cuda::Stream& stream, const cuda::Memory& to, const cuda::Memory& from,
                       std::int64_t bytes, int repeats) {
  stream.copy(to.data(), from.data(), bytes);
  stream.synchronize();
  const auto begin = Clock::now();
  for (int i = 0; i < repeats; ++i) stream.copy(to.data(), from.data(), bytes);
  stream.synchronize();
  return std::chrono::duration<double>(Clock::now() - begin).count() / repeats;
}

// Best of three steps; the last one's pages are the same as the first's.
double seconds_of_step(Backend& backend, const std::function<void()>& copies) {
  double best = 1e30;
  for (int i = 0; i < 3; ++i) {
    const auto begin = Clock::now();
    backend.begin_step({});
    copies();
    backend.end_step();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

}  // namespace

void bench_ceilings(Bench& bench) {
  const std::int64_t bytes = bench.small ? 1 << 20 : std::int64_t{2} << 30;
  const auto moved = static_cast<double>(bytes);
  cuda::Device device(bench.api);
  cuda::Stream stream(device);
  {
    const cuda::Memory here(device, kQuireCudaDevice, bytes);
    const cuda::Memory there(device, kQuireCudaDevice, bytes);
    const double seconds = seconds_of_copy(stream, there, here, bytes, kRepeats);
    bench.report.set_ceiling(Ceiling::kCopy, 2.0 * moved / seconds);
    bench.report.add({.name = "ceiling: device copy of 2 GiB, read and written",
                      .seconds = seconds,
                      .amount = 2.0 * moved});
    const cuda::Memory host(device, kQuireCudaPinned, bytes);
    const double out = seconds_of_copy(stream, host, here, bytes, 3);
    const double in = seconds_of_copy(stream, here, host, bytes, 3);
    bench.report.set_ceiling(Ceiling::kBusOut, moved / out);
    bench.report.set_ceiling(Ceiling::kBusIn, moved / in);
    bench.report.add({.name = "ceiling: the bus, device to pinned memory, 2 GiB",
                      .seconds = out,
                      .amount = moved});
    bench.report.add({.name = "ceiling: the bus, pinned memory to device, 2 GiB",
                      .seconds = in,
                      .amount = moved});
  }
  const std::string product = "ceiling: product of 8192 x 8192 x 8192, cuBLASLt";
  if (bench.cublas == nullptr) return bench.report.skip(product, "no cuBLASLt");
  const double n = 8192.0;
  const double seconds = bench.cublas->seconds(8192, 8192, 8192);
  bench.report.set_ceiling(Ceiling::kProduct, 2.0 * n * n * n / seconds);
  bench.report.add(
      {.name = product, .seconds = seconds, .amount = 2.0 * n * n * n, .unit = "TFLOP/s"});
}

// Pages of a Llama-3-8B, 16 tokens each: 2 MiB.
void bench_swaps(Bench& bench) {
  const ModelShape shape = model_shape(bench);
  constexpr std::int32_t kBlock = 16;
  const std::int64_t pages = bench.small ? 20 : 512;
  KvLayer layer =
      layer_of(shape.kv_heads, ModelShape::kHeadDim, DType::kBFloat16, kBlock, shape.layers);
  const DeviceBuffer pool = bench.backend.allocate(layer.page_bytes * pages);
  layer.pool = static_cast<std::byte*>(pool.data());
  const auto host = bench.backend.allocate_host_pages(layer.page_bytes, pages);
  const auto amount = static_cast<double>(layer.page_bytes * pages);
  const double out = seconds_of_step(bench.backend, [&] {
    for (std::int32_t p = 0; p < pages; ++p)
      bench.backend.copy_page_out(layer, BlockId{p}, host.get() + p * layer.page_bytes);
  });
  const double in = seconds_of_step(bench.backend, [&] {
    for (std::int32_t p = 0; p < pages; ++p)
      bench.backend.copy_page_in(layer, host.get() + p * layer.page_bytes, BlockId{p});
  });
  const std::string name = std::to_string(pages) + " pages of " +
                           std::to_string(layer.page_bytes >> 10) + " KiB, one step";
  bench.report.add(
      {.name = "swap out, " + name, .seconds = out, .amount = amount, .ceiling = Ceiling::kBusOut});
  bench.report.add(
      {.name = "swap in, " + name, .seconds = in, .amount = amount, .ceiling = Ceiling::kBusIn});
}

}  // namespace quire::engine::bench
