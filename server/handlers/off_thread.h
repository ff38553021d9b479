#pragma once
// OffThread<T>: one computation on the work pool, waited for by a job on an I/O thread.
//
// The owner is woken through its listener when the result is there. Destroying the owner's side
// drops the computation where it still waits and forgets its result where it does not; the function
// itself cannot be interrupted, so it must own what it uses or use what outlives the work pool.
// 1. After the destructor returns, the listener is not called.
// 2. What the function throws comes out of take(), on the owner's thread: it never ends the pool's.

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/token_stream.h"
#include "server/work_pool.h"

namespace quire::server {

template <typename T>
class OffThread final {
 public:
  OffThread() = default;
  ~OffThread() {
    if (!ticket_) return;
    pool_->cancel(*ticket_);
    const std::lock_guard lock(shared_->mutex);
    shared_->listener = nullptr;
  }
  OffThread(const OffThread&) = delete;
  OffThread& operator=(const OffThread&) = delete;

  // False: the pool's queue is full for this lane, and nothing was started. Once.
  [[nodiscard]] bool start(WorkPool& pool, std::string_view lane, engine::StreamListener& listener,
                           std::function<T()> compute) {
    pool_ = &pool;
    shared_ = std::make_shared<Shared>();
    shared_->listener = &listener;
    ticket_ = pool.post(lane, [shared = shared_, compute = std::move(compute)] {
      if (!shared->forgotten()) shared->run(compute);
    });
    return ticket_.has_value();
  }

  // The result, once.
  [[nodiscard]] std::optional<T> take() {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->failure) std::rethrow_exception(std::exchange(shared_->failure, nullptr));
    return std::exchange(shared_->result, std::nullopt);
  }

 private:
  struct Shared {
    std::mutex mutex;
    engine::StreamListener* listener = nullptr;
    std::optional<T> result;
    std::exception_ptr failure;

    bool forgotten() {
      const std::lock_guard lock(mutex);
      return listener == nullptr;
    }
    void run(const std::function<T()>& compute) {
      std::optional<T> made;
      std::exception_ptr thrown;
      try {
        made.emplace(compute());
      } catch (...) {
        thrown = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      result = std::move(made);
      failure = std::move(thrown);  // the owner's alone from here on
      if (listener != nullptr) listener->on_ready();
    }
  };

  WorkPool* pool_ = nullptr;
  std::optional<WorkPool::Ticket> ticket_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace quire::server
