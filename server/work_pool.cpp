#include "server/work_pool.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "server/log.h"

namespace quire::server {
namespace {

// Whoever waits for the job has its own catch; this is for what is wrong around it.
void run_job(const std::function<void()>& job) {
  try {
    job();
  } catch (const std::exception& error) {
    log_error("a job of the work pool failed", {{"error", std::string_view(error.what())}});
  } catch (...) {
    log_error("a job of the work pool failed");
  }
}

}  // namespace

WorkPool::WorkPool(std::size_t num_threads, std::size_t max_queued) : max_queued_(max_queued) {
  for (std::size_t i = 0; i < num_threads; ++i) threads_.emplace_back([this] { run(); });
}

void WorkPool::stop() {
  std::list<Lane> dropped;  // destroyed without the lock: a job may own anything
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(lanes_);
    num_queued_ = 0;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::optional<WorkPool::Ticket> WorkPool::post(std::string_view name, std::function<void()> job) {
  Ticket ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || num_queued_ >= max_queued_) return std::nullopt;
    ticket = ++last_ticket_;
    const auto lane = std::ranges::find(lanes_, name, &Lane::name);
    if (lane == lanes_.end()) {
      Lane fresh{std::string(name), {}};
      fresh.jobs.push_back({ticket, std::move(job)});
      lanes_.push_back(std::move(fresh));
    } else {
      if (lane->jobs.size() >= max_queued_ - num_queued_) return std::nullopt;
      lane->jobs.push_back({ticket, std::move(job)});
    }
    ++num_queued_;
  }
  wake_.notify_one();
  return ticket;
}

void WorkPool::cancel(Ticket ticket) {
  std::function<void()> dropped;  // destroyed without the lock
  const std::lock_guard lock(mutex_);
  for (auto lane = lanes_.begin(); lane != lanes_.end(); ++lane) {
    const auto job = std::ranges::find(lane->jobs, ticket, &Job::ticket);
    if (job == lane->jobs.end()) continue;
    dropped = std::move(job->run);
    lane->jobs.erase(job);
    --num_queued_;
    if (lane->jobs.empty()) lanes_.erase(lane);
    return;
  }
}

// The first of the lane whose turn it is, which then goes behind the others. There is one.
std::function<void()> WorkPool::take_next() {
  std::function<void()> job = std::move(lanes_.front().jobs.front().run);
  lanes_.front().jobs.pop_front();
  --num_queued_;
  if (lanes_.front().jobs.empty()) {
    lanes_.pop_front();
  } else {
    lanes_.splice(lanes_.end(), lanes_, lanes_.begin());
  }
  return job;
}

void WorkPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || num_queued_ > 0; });
    if (stopping_) return;
    std::function<void()> job = take_next();
    lock.unlock();
    run_job(job);
    job = nullptr;
    lock.lock();
  }
}

}  // namespace quire::server
