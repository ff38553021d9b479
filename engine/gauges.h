#pragma once
// Gauges: what other threads may see of the engine loop. Relaxed: each is a number on its own.

#include <atomic>
#include <cstdint>

namespace quire::engine {

struct Gauges {
  std::atomic<bool> alive{false};
  std::atomic<bool> warm{false};
  std::atomic<bool> idle{false};
  std::atomic<std::int64_t> heartbeat{0};  // steady clock, nanoseconds
  std::atomic<std::int32_t> running{0}, waiting{0}, free_blocks{0}, total_blocks{0};
  std::atomic<std::int64_t> steps{0}, preemptions{0}, prompt_tokens{0}, generation_tokens{0};
  std::atomic<std::int64_t> accepted{0}, finished{0}, aborted{0}, failed{0};
  std::atomic<double> tokens_per_second{0.0};
};

}  // namespace quire::engine
