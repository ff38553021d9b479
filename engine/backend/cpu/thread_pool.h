#pragma once
// ThreadPool: fork and join for the ops of a step.
//
// The thread that calls run() is worker 0; the others wait, spinning kSpin first (a step's ops
// follow each other within microseconds) and asleep after that, so that an idle daemon costs
// nothing.
// 1. run() returns when every item is done. It does not wait for a worker that has not arrived: the
//    caller finishes the work alone if it must, so a late thread delays a step by one item at most.
// 2. Items are cut into one range per worker (its next item is known, which is what prefetching
//    wants); a worker whose range is used up takes single items from the others' ranges.
// 3. Which worker runs an item is chance: an item's result may not depend on it.
// 4. run() allocates nothing; one thread at a time calls it, and never from inside an item.
// Threads are not pinned: the I/O threads share the cores.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace quire::engine::cpu {

struct WorkItem {
  std::int64_t index = 0;
  std::int64_t next = 0;  // what this worker probably runs afterwards; `index` itself if unknown
  int worker = 0;         // 0 <= worker < num_threads(): names scratch memory
};

class ThreadPool final {
 public:
  static constexpr std::chrono::microseconds kSpin{50};

  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int num_threads() const { return num_threads_; }

  // Runs fn(WorkItem) for every index in [0, n).
  template <typename Function>
  void run(std::int64_t n, const Function& fn) {
    run_items(
        n,
        [](const void* context, const WorkItem& item) {
          (*static_cast<const Function*>(context))(item);
        },
        &fn);
  }
  // The same on the calling thread alone where `parallel` is false (too little work to share).
  template <typename Function>
  void run_if(bool parallel, std::int64_t n, const Function& fn) {
    if (parallel && n > 1) return run(n, fn);
    for (std::int64_t i = 0; i < n; ++i) {
      fn(WorkItem{.index = i, .next = i + 1 < n ? i + 1 : i, .worker = 0});
    }
  }

 private:
  using Task = void (*)(const void* context, const WorkItem& item);

  struct alignas(64) Range {
    std::atomic<std::int64_t> next{0};
    std::int64_t end = 0;
  };

  void run_items(std::int64_t n, Task task, const void* context);
  void cut(std::int64_t n);
  void work(int worker);
  void work_loop(int worker);
  [[nodiscard]] std::uint64_t wait_for_job(std::uint64_t seen_epoch);
  void leave();
  void wait_for_workers();

  const int num_threads_;
  std::unique_ptr<Range[]> ranges_;
  Task task_ = nullptr;
  const void* context_ = nullptr;

  // One word says whether a job is open, how many workers are inside it, and which job it is
  // (thread_pool.cpp: the layout). Joining is one compare-and-swap, so nobody enters a closed job.
  alignas(64) std::atomic<std::uint64_t> gate_{0};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable job_opened_;
  std::condition_variable workers_left_;
  std::vector<std::thread> threads_;
};

}  // namespace quire::engine::cpu
