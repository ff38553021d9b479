#pragma once
// OffThread<T>: one computation on the work pool, waited for by a job on an I/O thread.
//
// The owner is woken through its listener when the result is there. Destroying the owner's side
// forgets the result; the function itself cannot be interrupted, so it must own what it uses or use
// what outlives the work pool.
// 1. After the destructor returns, the listener is not called.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "engine/token_stream.h"
#include "server/work_pool.h"

namespace quire::server {

template <typename T>
class OffThread final {
 public:
  OffThread() = default;
  ~OffThread() {
    if (shared_ == nullptr) return;
    const std::lock_guard lock(shared_->mutex);
    shared_->listener = nullptr;
  }
  OffThread(const OffThread&) = delete;
  OffThread& operator=(const OffThread&) = delete;

  // False: the pool's queue is full, and nothing was started.
  [[nodiscard]] bool start(WorkPool& pool, engine::StreamListener& listener,
                           std::function<T()> compute) {
    shared_ = std::make_shared<Shared>();
    shared_->listener = &listener;
    return pool.post([shared = shared_, compute = std::move(compute)] {
      if (shared->forgotten()) return;
      T result = compute();
      const std::lock_guard lock(shared->mutex);
      shared->result.emplace(std::move(result));
      if (shared->listener != nullptr) shared->listener->on_ready();
    });
  }

  // The result, once.
  [[nodiscard]] std::optional<T> take() {
    const std::lock_guard lock(shared_->mutex);
    return std::exchange(shared_->result, std::nullopt);
  }

 private:
  struct Shared {
    std::mutex mutex;
    engine::StreamListener* listener = nullptr;
    std::optional<T> result;
    bool forgotten() {
      const std::lock_guard lock(mutex);
      return listener == nullptr;
    }
  };
  std::shared_ptr<Shared> shared_;
};

}  // namespace quire::server
