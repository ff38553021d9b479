#include "engine/tiers/tier_store.h"

#include <pthread.h>

#include <chrono>
#include <utility>

#include "proto/check.h"

namespace quire::engine {

using cache::TierJob;
using cache::TierJobKind;
using cache::TierOutcome;
using cache::TierReport;

TierStore::TierStore(HostPages& host, std::unique_ptr<DiskSlab> disk,
                     std::unique_ptr<RemoteStore> remote)
    : host_(host), disk_(std::move(disk)), remote_(std::move(remote)) {
  CHECK(disk_ != nullptr || remote_ != nullptr);
  thread_ = std::thread([this] { run(); });
}

TierStore::~TierStore() { stop(); }

void TierStore::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

bool TierStore::may_have(const cache::PageKey& key) {
  return (disk_ != nullptr && disk_->has(key)) || (remote_ != nullptr && remote_->is_up());
}

bool TierStore::start(const TierJob& job) {
  const bool reads = job.kind == TierJobKind::kRead;
  const std::lock_guard lock(mutex_);
  std::size_t& count = reads ? unreported_reads_ : unreported_writes_;
  if (stopping_ || count == (reads ? kMaxReads : kMaxWrites)) return false;
  ++count;
  (reads ? reads_ : writes_).push(job);
  wake_.notify_one();
  return true;
}

std::optional<TierReport> TierStore::next_report() {
  const std::lock_guard lock(mutex_);
  if (reports_.empty()) return std::nullopt;
  const TierReport report = reports_.pop();
  --(report.kind == TierJobKind::kRead ? unreported_reads_ : unreported_writes_);
  return report;
}

bool TierStore::has_reports() const {
  const std::lock_guard lock(mutex_);
  return !reports_.empty();
}

void TierStore::run() {
  pthread_setname_np(pthread_self(), "quire-tiers");
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !reads_.empty() || !writes_.empty(); });
    if (reads_.empty() && writes_.empty()) return;
    const TierJob job = (reads_.empty() ? writes_ : reads_).pop();
    TierOutcome outcome = TierOutcome::kFailed;
    if (!stopping_) {
      lock.unlock();
      outcome = carry_out(job);
      lock.lock();
    }
    reports_.push({.kind = job.kind, .slot = job.slot, .outcome = outcome});
    if (stopping_ || !listener_) continue;
    lock.unlock();
    listener_();
    lock.lock();
  }
}

TierOutcome TierStore::carry_out(const TierJob& job) {
  if (job.kind == TierJobKind::kWrite) return write(job);
  const auto begin = std::chrono::steady_clock::now();
  const TierOutcome outcome = read(job);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  // A moving mean over some ten reads; a miss tells what asking costs, not what reading does.
  const double before = seconds_per_read_;
  if (outcome == TierOutcome::kDone) {
    seconds_per_read_ = before == 0.0 ? taken.count() : 0.9 * before + 0.1 * taken.count();
  }
  return outcome;
}

TierOutcome TierStore::read(const TierJob& job) {
  StoreOutcome outcome = StoreOutcome::kAbsent;
  if (disk_ != nullptr) outcome = disk_->read(job.key, job.tokens, host_.slot(job.slot));
  if (outcome != StoreOutcome::kDone && remote_ != nullptr) {
    const StoreOutcome other = remote_->read(job.key, job.tokens, host_.slot(job.slot));
    if (other != StoreOutcome::kAbsent) outcome = other;
  }
  if (outcome == StoreOutcome::kDone) return TierOutcome::kDone;
  return outcome == StoreOutcome::kAbsent ? TierOutcome::kAbsent : TierOutcome::kFailed;
}

// Done, where one of them has it.
TierOutcome TierStore::write(const TierJob& job) {
  bool done = false;
  const std::span<const std::byte> pages = host_.slot(job.slot);
  if (disk_ != nullptr) done = disk_->write(job.key, job.tokens, pages) == StoreOutcome::kDone;
  if (remote_ != nullptr) {
    done = remote_->write(job.key, job.tokens, pages) == StoreOutcome::kDone || done;
  }
  return done ? TierOutcome::kDone : TierOutcome::kFailed;
}

TierCounts TierStore::disk_counts() const {
  if (disk_ == nullptr) return {};
  TierCounts counts = disk_->counters().counts();
  counts.records = disk_->num_records();
  return counts;
}

TierCounts TierStore::remote_counts() const {
  return remote_ == nullptr ? TierCounts{} : remote_->counters().counts();
}

}  // namespace quire::engine
