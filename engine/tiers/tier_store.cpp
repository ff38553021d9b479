#include "engine/tiers/tier_store.h"

#include <pthread.h>

#include <algorithm>
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
    take_batch();
    if (!stopping_) {
      lock.unlock();
      carry_out_batch();
      lock.lock();
    }
    for (const TierReport& report : done_) reports_.push(report);
    if (stopping_ || !listener_) continue;
    lock.unlock();
    listener_();
    lock.lock();
  }
}

// What is not carried out is reported as failed.
void TierStore::take_batch() {
  batch_.clear();
  done_.clear();
  while (!reads_.empty() && batch_.size() < kMaxBatch) batch_.push_back(reads_.pop());
  if (batch_.empty()) batch_.push_back(writes_.pop());
  for (const TierJob& job : batch_) {
    done_.push_back({.kind = job.kind, .slot = job.slot, .outcome = TierOutcome::kFailed});
  }
}

void TierStore::carry_out_batch() {
  if (batch_.front().kind == TierJobKind::kWrite) {
    done_.front().outcome = write(batch_.front());
    return;
  }
  const auto begin = std::chrono::steady_clock::now();
  read_batch();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  // A moving mean over some ten batches. A batch with nothing found tells what asking costs, not
  // what reading does; in others each span that was asked for counts, or a few hits among many
  // misses would make reading seem so dear that it is never tried again.
  if (std::ranges::count(done_, TierOutcome::kDone, &TierReport::outcome) == 0) return;
  const double before = seconds_per_read_;
  const double each = taken.count() / static_cast<double>(batch_.size());
  seconds_per_read_ = before == 0.0 ? each : 0.9 * before + 0.1 * each;
}

TierReport TierStore::report_of(const TierJob& job, StoreOutcome outcome, PageSource source) const {
  return {.kind = job.kind,
          .slot = job.slot,
          .outcome = outcome == StoreOutcome::kDone     ? TierOutcome::kDone
                     : outcome == StoreOutcome::kAbsent ? TierOutcome::kAbsent
                                                        : TierOutcome::kFailed,
          .source = source};
}

// The disk for each of them, then the remote store for all that are not there.
void TierStore::read_batch() {
  remote_reads_.clear();
  asked_.clear();
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    const TierJob& job = batch_[i];
    StoreOutcome outcome = StoreOutcome::kAbsent;
    if (disk_ != nullptr) outcome = disk_->read(job.key, job.tokens, host_.slot(job.slot));
    done_[i] = report_of(job, outcome, PageSource::kDisk);
    if (outcome == StoreOutcome::kDone || remote_ == nullptr) continue;
    asked_.push_back(i);
    remote_reads_.push_back({.key = job.key, .tokens = job.tokens, .pages = host_.slot(job.slot)});
  }
  if (remote_ != nullptr) remote_->read(remote_reads_);
  for (std::size_t k = 0; k < asked_.size(); ++k) {
    const StoreOutcome outcome = remote_reads_[k].outcome;
    if (outcome == StoreOutcome::kAbsent) continue;  // what the disk said stays
    done_[asked_[k]] = report_of(batch_[asked_[k]], outcome, PageSource::kRemote);
  }
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
