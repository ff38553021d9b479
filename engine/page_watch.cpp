#include "engine/page_watch.h"

#include <algorithm>

namespace quire::engine {

PageWatch::Subscription::~Subscription() { watch_.unsubscribe(listener_); }

std::unique_ptr<PageWatch::Subscription> PageWatch::subscribe(StreamListener& listener) {
  {
    const std::lock_guard lock(mutex_);
    listeners_.push_back(&listener);
    num_readers_.fetch_add(1, std::memory_order_relaxed);
    wanted_.store(true, std::memory_order_release);
  }
  wake_engine_();
  return std::unique_ptr<Subscription>(new Subscription(*this, listener));
}

void PageWatch::unsubscribe(StreamListener& listener) {
  const std::lock_guard lock(mutex_);
  listeners_.erase(std::find(listeners_.begin(), listeners_.end(), &listener));
  num_readers_.fetch_sub(1, std::memory_order_relaxed);
}

PageWatch::Version PageWatch::latest() const {
  const std::lock_guard lock(mutex_);
  return {.number = number_, .snapshot = newest_};
}

PageWatch::Clock::time_point PageWatch::due(std::uint64_t change) const {
  if (wanted()) return Clock::time_point::min();
  if (num_readers_.load(std::memory_order_relaxed) == 0) return Clock::time_point::max();
  if (change == last_change_) return Clock::time_point::max();
  return last_ + interval_.load(std::memory_order_relaxed);
}

void PageWatch::publish(std::uint64_t change, const std::function<void(PageSnapshot&)>& fill) {
  wanted_.store(false, std::memory_order_release);
  const auto next = std::make_shared<PageSnapshot>();
  fill(*next);
  next->time = std::chrono::system_clock::now();
  last_ = Clock::now();
  last_change_ = change;
  const std::lock_guard lock(mutex_);
  newest_ = next;
  ++number_;
  for (StreamListener* listener : listeners_) listener->on_ready();
}

}  // namespace quire::engine
