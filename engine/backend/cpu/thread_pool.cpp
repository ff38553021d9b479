#include "engine/backend/cpu/thread_pool.h"

#include <immintrin.h>

#include "proto/check.h"

namespace quire::engine::cpu {
namespace {

// gate_: [ epoch : 48 | workers inside : 15 | open : 1 ]
constexpr std::uint64_t kOpen = 1;
constexpr std::uint64_t kOneInside = 2;
constexpr std::uint64_t kInside = 0xfffe;
constexpr int kEpochShift = 16;

bool is_open(std::uint64_t gate) { return (gate & kOpen) != 0; }
std::uint64_t epoch_of(std::uint64_t gate) { return gate >> kEpochShift; }

// Spins until ready() holds or the time is up. The clock is read once in a while: a pause is tens
// of nanoseconds already.
template <typename Ready>
bool spin_until(const Ready& ready) {
  constexpr int kPausesPerLook = 16;
  const auto deadline = std::chrono::steady_clock::now() + ThreadPool::kSpin;
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (ready()) return true;
      _mm_pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return ready();
}

}  // namespace

ThreadPool::ThreadPool(int num_threads)
    : num_threads_(num_threads),
      ranges_(std::make_unique<Range[]>(static_cast<std::size_t>(num_threads))) {
  CHECK_GE(num_threads, 1);
  CHECK_LT(num_threads, 1 << 15);
  threads_.reserve(static_cast<std::size_t>(num_threads - 1));
  for (int worker = 1; worker < num_threads; ++worker) {
    threads_.emplace_back([this, worker] { work_loop(worker); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_.store(true);
  }
  job_opened_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run_items(std::int64_t n, Task task, const void* context) {
  if (n <= 0) return;
  cut(n);
  task_ = task;
  context_ = context;
  const std::uint64_t epoch = epoch_of(gate_.load(std::memory_order_relaxed)) + 1;
  // Sequentially consistent with sleepers_: either the worker sees the open gate before it sleeps,
  // or this thread sees the sleeper.
  gate_.store((epoch << kEpochShift) | kOpen);
  if (sleepers_.load() > 0) {
    {
      const std::lock_guard lock(mutex_);
    }
    job_opened_.notify_all();
  }
  work(0);
  gate_.fetch_and(~kOpen);
  wait_for_workers();
}

void ThreadPool::cut(std::int64_t n) {
  for (int worker = 0; worker < num_threads_; ++worker) {
    ranges_[worker].next.store(n * worker / num_threads_, std::memory_order_relaxed);
    ranges_[worker].end = n * (worker + 1) / num_threads_;
  }
}

// Runs this worker's own range, then what the others have not begun.
void ThreadPool::work(int worker) {
  for (int i = 0; i < num_threads_; ++i) {
    Range& range = ranges_[(worker + i) % num_threads_];
    for (;;) {
      if (range.next.load(std::memory_order_relaxed) >= range.end) break;
      const std::int64_t index = range.next.fetch_add(1, std::memory_order_relaxed);
      if (index >= range.end) break;
      const std::int64_t next = index + 1 < range.end ? index + 1 : index;
      task_(context_, {.index = index, .next = next, .worker = worker});
    }
  }
}

void ThreadPool::work_loop(int worker) {
  std::uint64_t seen_epoch = 0;
  for (;;) {
    std::uint64_t gate = wait_for_job(seen_epoch);
    if (stop_.load(std::memory_order_relaxed)) return;
    if (!gate_.compare_exchange_strong(gate, gate + kOneInside)) continue;
    seen_epoch = epoch_of(gate);
    work(worker);
    leave();
  }
}

std::uint64_t ThreadPool::wait_for_job(std::uint64_t seen_epoch) {
  std::uint64_t gate = 0;
  const auto ready = [&] {
    gate = gate_.load();
    return (is_open(gate) && epoch_of(gate) != seen_epoch) || stop_.load(std::memory_order_relaxed);
  };
  if (spin_until(ready)) return gate;
  std::unique_lock lock(mutex_);
  sleepers_.fetch_add(1);
  job_opened_.wait(lock, ready);
  sleepers_.fetch_sub(1);
  return gate;
}

void ThreadPool::leave() {
  gate_.fetch_sub(kOneInside);
  if (!caller_sleeps_.load()) return;
  { const std::lock_guard lock(mutex_); }
  workers_left_.notify_one();
}

void ThreadPool::wait_for_workers() {
  const auto alone = [this] { return (gate_.load() & kInside) == 0; };
  if (alone() || spin_until(alone)) return;
  std::unique_lock lock(mutex_);
  caller_sleeps_.store(true);
  workers_left_.wait(lock, alone);
  caller_sleeps_.store(false);
}

}  // namespace quire::engine::cpu
