#pragma once
// Heartbeat: when the engine's work last moved, for whoever watches whether it is alive.
//
// Beaten by the engine thread after each unit of work, which is a layer over a step's tokens, a
// tile of logits or a turn of the loop, so that a long step is not taken for a frozen one; read by
// any thread. Cost: one clock reading and one store.

#include <atomic>
#include <chrono>

namespace quire::engine {

class Heartbeat final {
 public:
  using Clock = std::chrono::steady_clock;

  void beat() noexcept {
    last_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  }
  [[nodiscard]] Clock::duration age() const {
    const Clock::time_point last{Clock::duration(last_.load(std::memory_order_relaxed))};
    return Clock::now() - last;
  }

 private:
  std::atomic<Clock::rep> last_{Clock::now().time_since_epoch().count()};
};

}  // namespace quire::engine
