#pragma once
// WorkPool: a few threads for what would hold up an I/O thread (parsing and encoding long prompts,
// rendering chats).
//
// post() and cancel() from any thread. Who asks names a lane; lanes take turns, job by job, so that
// one client's hundred long conversations make another's short one wait for one of them, not for
// all. A job under way is never interrupted.
// 1. At most max_queued jobs wait, and a lane that has some waiting may have as many as places are
//    free: one that floods gets half of them, and some are left for who comes next.
// 2. stop() and the destructor drop what waits and join: nothing that a job uses needs to live
//    longer. A job that was cancelled while it waited never runs.
// 3. Jobs should not throw: what one throws is logged, and the thread goes on with the next.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace quire::server {

class WorkPool final {
 public:
  using Ticket = std::uint64_t;

  WorkPool(std::size_t num_threads, std::size_t max_queued);
  ~WorkPool() { stop(); }
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  // By the owner's thread; once more does nothing.
  void stop();

  // Nothing: the queue is full for this lane, or the pool was stopped.
  [[nodiscard]] std::optional<Ticket> post(std::string_view lane, std::function<void()> job);
  // The job is dropped if it still waits; else nothing happens.
  void cancel(Ticket ticket);

 private:
  struct Job {
    Ticket ticket;
    std::function<void()> run;
  };
  // One that has jobs waiting; the first lane's turn is next.
  struct Lane {
    std::string name;
    std::deque<Job> jobs;
  };

  void run();
  std::function<void()> take_next();

  const std::size_t max_queued_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<Lane> lanes_;  // none of them empty
  std::size_t num_queued_ = 0;
  Ticket last_ticket_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace quire::server
