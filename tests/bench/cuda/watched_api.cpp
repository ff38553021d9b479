#include "tests/bench/cuda/watched_api.h"

#include <chrono>

namespace quire::engine::bench {

namespace {

using Clock = std::chrono::steady_clock;

struct Watch {
  const QuireCudaApi* real = nullptr;
  QuireCudaApi table{};
  void (*after_wait)() = nullptr;
  DeviceTimes times;
  bool working = false;
  bool started = false;  // the first gap begins at the first wait's end
  Clock::time_point since;
} watch;

double seconds_since(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

std::int32_t launched(std::int32_t status) {
  if (watch.working) return status;
  const auto now = Clock::now();
  const double gap = watch.started ? seconds_since(watch.since, now) : 0.0;
  (gap < kPause ? watch.times.idle : watch.times.paused) += gap;
  watch.working = watch.started = true;
  watch.since = now;
  return status;
}

std::int32_t waited(std::int32_t status) {
  if (!watch.working) return status;
  const auto now = Clock::now();
  watch.times.busy += seconds_since(watch.since, now);
  ++watch.times.waits;
  watch.working = false;
  watch.since = now;
  if (watch.after_wait != nullptr) watch.after_wait();
  return status;
}

}  // namespace

const QuireCudaApi& watched(const QuireCudaApi& real, void (*after_wait)()) {
  watch.real = &real;
  watch.after_wait = after_wait;
  watch.table = real;
  watch.table.run = [](QuireCudaStream* stream, const QuireCudaOp* ops, std::int64_t num_ops) {
    return launched(watch.real->run(stream, ops, num_ops));
  };
  watch.table.launch_graph = [](QuireCudaStream* stream, QuireCudaGraph* graph) {
    return launched(watch.real->launch_graph(stream, graph));
  };
  watch.table.synchronize_stream = [](QuireCudaStream* stream) {
    return waited(watch.real->synchronize_stream(stream));
  };
  watch.table.synchronize_event = [](QuireCudaEvent* event) {
    return waited(watch.real->synchronize_event(event));
  };
  return watch.table;
}

const DeviceTimes& device_times() { return watch.times; }

}  // namespace quire::engine::bench
