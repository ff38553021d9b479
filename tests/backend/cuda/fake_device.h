#pragma once
// A device behind the plug-in's C ABI that is plain host memory and runs the emulated ops.
//
// Work is done as late as the ABI allows: a stream's tasks run only when somebody waits for them,
// or for an event that depends on them; or, on all streams but the first, as early as it allows. So
// a missing wait, a missing event or a buffer that is written again too early shows as a wrong
// answer in one of the two. It counts what it is asked for, refuses what a
// real device would (a graph's contents are those of its capture), and fails where it is told to.
// Not thread-safe; the settings are of the process, and read at each call.

#include <cstdint>
#include <string>

#include "engine/backend/cuda/quire_cuda_abi.h"

namespace quire::engine::cuda::testing {

struct FakeDevice {
  bool present = true;
  std::int64_t memory_bytes = std::int64_t{8} << 30;
  // The op after so many fails, and everything from then on. -1: none.
  std::int64_t ops_before_loss = -1;

  bool eager_copies = false;  // of streams that are created from now on; the first is always late

  // What was done.
  std::int64_t used_bytes = 0;  // of device memory
  std::int64_t pinned_bytes = 0;
  std::int64_t ops = 0;  // queued, also by graphs
  std::int64_t ops_done = 0;
  std::int64_t runs = 0;
  std::int64_t graph_launches = 0;
  std::int64_t graphs = 0;  // that exist
  std::int64_t copies = 0;
  std::int64_t waits = 0;  // of the host for the device
  bool lost = false;
};

// The one device; assign FakeDevice{} to begin anew.
[[nodiscard]] FakeDevice& fake_device();
[[nodiscard]] const QuireCudaApi& fake_api();

}  // namespace quire::engine::cuda::testing
