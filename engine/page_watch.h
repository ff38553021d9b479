#pragma once
// PageWatch: how readers on other threads see the pool, which belongs to the engine thread.
//
// Readers subscribe; while there are any, the engine thread publishes a snapshot between two steps,
// at most one per interval() and only after something changed (the first reader's comes at once).
// Readers get the newest one and are told when there is another.
// 1. Without readers the engine thread does nothing here but read two atomics.
// 2. A published snapshot does not change as long as anybody holds it.
// 3. After Subscription's destructor its listener is not called.
// Cost: publishing copies the columns (some 14 bytes a block) into new memory, which goes with the
// last reader of the snapshot: four times a second at most, and only while somebody looks.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/token_stream.h"
#include "proto/page_snapshot.h"

namespace quire::engine {

class PageWatch final {
 public:
  using Clock = std::chrono::steady_clock;
  // Not quite four a second: as often as a person sees a difference.
  static constexpr std::chrono::milliseconds kInterval{260};

  class Subscription final {
   public:
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

   private:
    friend class PageWatch;
    Subscription(PageWatch& watch, StreamListener& listener) : watch_(watch), listener_(listener) {}
    PageWatch& watch_;
    StreamListener& listener_;
  };

  // A snapshot with its number; they count up.
  struct Version {
    std::uint64_t number = 0;  // 0: there is none yet
    std::shared_ptr<const PageSnapshot> snapshot;
  };

  // wake_engine is called without a lock, on the reader's thread, so that an idle engine publishes.
  explicit PageWatch(std::function<void()> wake_engine) : wake_engine_(std::move(wake_engine)) {}

  // ---- readers, any thread ----
  // The next snapshot is newer than this call. The listener outlives the subscription.
  [[nodiscard]] std::unique_ptr<Subscription> subscribe(StreamListener& listener);
  [[nodiscard]] Version latest() const;
  // A reader whose updates are long makes them rarer for all.
  void set_interval(std::chrono::milliseconds interval) { interval_ = interval; }

  // ---- the engine thread ----
  [[nodiscard]] bool wanted() const { return wanted_.load(std::memory_order_acquire); }
  // When to publish; max() for not at all. `change` is a number that differs after every change.
  [[nodiscard]] Clock::time_point due(std::uint64_t change) const;
  void publish(std::uint64_t change, const std::function<void(PageSnapshot&)>& fill);

 private:
  void unsubscribe(StreamListener& listener);

  const std::function<void()> wake_engine_;
  std::atomic<bool> wanted_{false};  // somebody subscribed since the last one
  std::atomic<int> num_readers_{0};
  std::atomic<std::chrono::milliseconds> interval_{kInterval};

  // The engine thread's own.
  Clock::time_point last_{};
  std::uint64_t last_change_ = 0;

  mutable std::mutex mutex_;  // guards what is below
  std::shared_ptr<const PageSnapshot> newest_;
  std::uint64_t number_ = 0;
  std::vector<StreamListener*> listeners_;
};

}  // namespace quire::engine
