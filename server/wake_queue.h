#pragma once
// WakeQueue: how other threads (engine, work pool) wake the connections of one I/O thread, without
// allocating, blocking or taking a lock: an intrusive stack of Wakers and one eventfd.
//
// 1. Waker::on_ready() may be called on any thread; a Waker is in the queue at most once.
// 2. run() and everything of a Waker but on_ready() belong to the queue's I/O thread.
// 3. Who destroys a Waker first makes sure that no on_ready() runs or will run, then calls
//    leave_queue().
// Cost: one exchange per wake, one write() per empty-to-filled change of the queue.

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "engine/token_stream.h"
#include "proto/check.h"

namespace quire::server {

class WakeQueue;

class Waker : public engine::StreamListener {
 public:
  explicit Waker(WakeQueue& queue) : queue_(queue) {}
  ~Waker() override;
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;

  void on_ready() noexcept final;

 protected:
  // On the I/O thread, after one or more on_ready().
  virtual void woken() = 0;
  // For the derived destructor: takes this out of the queue (and wakes those who wait in it).
  void leave_queue();

 private:
  friend class WakeQueue;
  WakeQueue& queue_;
  std::atomic<bool> queued_{false};
  Waker* next_ = nullptr;
};

class WakeQueue final {
 public:
  WakeQueue() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { CHECK_GE(fd_, 0); }
  ~WakeQueue() { close(fd_); }
  WakeQueue(const WakeQueue&) = delete;
  WakeQueue& operator=(const WakeQueue&) = delete;

  // Readable when run() has something to do.
  [[nodiscard]] int fd() const { return fd_; }

  void push(Waker* waker) noexcept {
    Waker* head = head_.load(std::memory_order_relaxed);
    do {
      waker->next_ = head;
    } while (!head_.compare_exchange_weak(head, waker, std::memory_order_release,
                                          std::memory_order_relaxed));
    if (head != nullptr) return;
    const std::uint64_t one = 1;
    // It can fail only where the counter is full, and then the fd is readable already.
    [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof one);
  }

  void run() {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(fd_, &count, sizeof count);
    Waker* waker = head_.exchange(nullptr, std::memory_order_acquire);
    while (waker != nullptr) {
      Waker* next = waker->next_;
      waker->queued_.store(false, std::memory_order_release);
      waker->woken();
      waker = next;
    }
  }

 private:
  int fd_;
  std::atomic<Waker*> head_{nullptr};
};

inline void Waker::on_ready() noexcept {
  if (!queued_.exchange(true, std::memory_order_acq_rel)) queue_.push(this);
}

inline void Waker::leave_queue() {
  if (queued_.load(std::memory_order_acquire)) queue_.run();
}

inline Waker::~Waker() { CHECK(!queued_.load(std::memory_order_acquire)); }

}  // namespace quire::server
