#pragma once
// A plug-in's table with a clock beside it: how long the device stood idle between pieces of work.
//
// Idle: from when the host learnt that the device was done until the next launch had returned, the
// upload before it included. So the share errs on the high side by what a launch takes, and on the
// low side by how late the host learns. Gaps longer than kPause are no gap between steps but a lack
// of requests, and are counted apart. Of the process; one thread uses the table at a time, as the
// ABI says, which is also the one that asks.

#include <cstdint>

#include "engine/backend/cuda/quire_cuda_abi.h"

namespace quire::engine::bench {

inline constexpr double kPause = 0.05;  // seconds

struct DeviceTimes {
  std::int64_t waits = 0;  // that ended work
  double busy = 0.0;       // seconds
  double idle = 0.0;
  double paused = 0.0;

  [[nodiscard]] double idle_share() const { return busy + idle > 0.0 ? idle / (busy + idle) : 0.0; }
};

// `real` outlives the process's use of the table. `after_wait` (may be null) is called when a wait
// has ended work.
[[nodiscard]] const QuireCudaApi& watched(const QuireCudaApi& real, void (*after_wait)() = nullptr);
[[nodiscard]] const DeviceTimes& device_times();

[[nodiscard]] inline DeviceTimes operator-(const DeviceTimes& a, const DeviceTimes& b) {
  return {a.waits - b.waits, a.busy - b.busy, a.idle - b.idle, a.paused - b.paused};
}

}  // namespace quire::engine::bench
