#include "tests/sim/fake_tier.h"

#include <algorithm>

#include "tests/sim/violation.h"

namespace quire::sim {
namespace {

// Jobs at once, as a real queue is bounded.
constexpr std::size_t kMaxJobs = 24;

std::uint64_t digest(std::span<const Entry> entries) {
  std::uint64_t sum = 0;
  for (const Entry entry : entries) sum = fold(sum, entry);
  return sum;
}

}  // namespace

HostMemory::HostMemory(const Scenario& scenario) {
  std::int32_t span = 1;
  for (const Group& group : scenario.groups) span = std::max(span, group.block_size);
  page_size = span;
  pages_per_slot = 0;
  for (const Group& group : scenario.groups) pages_per_slot += span / group.block_size;
  const auto pages = static_cast<std::size_t>(scenario.num_host_slots * pages_per_slot);
  entries.resize(pages * static_cast<std::size_t>(page_size));
  written_for.resize(pages);
}

FakeTier::FakeTier(const Scenario& scenario, HostMemory& host)
    : host_(host), odds_(scenario.tier), random_(scenario.tier.seed) {}

bool FakeTier::may_have(const cache::PageKey& key) {
  // A remote store is asked in any case.
  return records_.contains(key.words) || (odds_.ask_always && !settled_);
}

bool FakeTier::start(const cache::TierJob& job) {
  if (jobs_.size() >= kMaxJobs || (!settled_ && random_.chance(odds_.refuse))) {
    ++faults_.refused;
    return false;
  }
  std::int64_t delay = settled_ ? 0 : random_.below(odds_.delay + 1);
  if (!settled_ && random_.chance(odds_.slow)) {
    delay += 300;
    ++faults_.slow;
  }
  jobs_.push_back({.job = job,
                   .digest = job.kind == cache::TierJobKind::kWrite ? digest_of(job.slot) : 0,
                   .due = now_ + delay});
  return true;
}

std::optional<cache::TierReport> FakeTier::next_report() {
  if (reports_.empty()) return std::nullopt;
  const cache::TierReport report = reports_.back();
  reports_.pop_back();
  return report;
}

bool FakeTier::is_busy(BlockId slot) const {
  return std::ranges::any_of(jobs_, [slot](const Job& job) { return job.job.slot == slot; }) ||
         std::ranges::find(reports_, slot, &cache::TierReport::slot) != reports_.end();
}

void FakeTier::tick() {
  ++now_;
  std::erase_if(jobs_, [this](const Job& job) {
    if (job.due > now_) return false;
    finish(job);
    return true;
  });
}

void FakeTier::settle() {
  settled_ = true;
  for (Job& job : jobs_) job.due = now_;
}

void FakeTier::finish(const Job& job) {
  const bool reads = job.job.kind == cache::TierJobKind::kRead;
  reports_.push_back(
      {.kind = job.job.kind, .slot = job.job.slot, .outcome = reads ? read(job.job) : write(job)});
}

std::uint64_t FakeTier::digest_of(BlockId slot) const {
  const auto size = static_cast<std::size_t>(host_.pages_per_slot * host_.page_size);
  return digest(std::span(host_.entries).subspan(static_cast<std::size_t>(slot) * size, size));
}

cache::TierOutcome FakeTier::read(const cache::TierJob& job) {
  if (!settled_ && random_.chance(odds_.lose) && records_.erase(job.key.words) > 0) ++faults_.lost;
  const auto found = records_.find(job.key.words);
  if (found == records_.end()) return cache::TierOutcome::kAbsent;
  if (!settled_ && random_.chance(odds_.fail)) {
    ++faults_.failed;
    return cache::TierOutcome::kFailed;
  }
  Record& record = found->second;
  if (!settled_ && random_.chance(odds_.damage)) record.entries.front() ^= 1;
  require(std::ranges::equal(record.tokens, job.tokens), "a key of other tokens");
  if (digest(record.entries) != record.digest) {
    ++faults_.damaged;
    records_.erase(found);
    return cache::TierOutcome::kFailed;
  }
  const auto slot = static_cast<std::ptrdiff_t>(job.slot);
  std::ranges::copy(record.entries,
                    host_.entries.begin() + slot * host_.pages_per_slot * host_.page_size);
  std::ranges::copy(record.written_for, host_.written_for.begin() + slot * host_.pages_per_slot);
  return cache::TierOutcome::kDone;
}

cache::TierOutcome FakeTier::write(const Job& job) {
  require(digest_of(job.job.slot) == job.digest, "a slot was reused while it was written below");
  if (!settled_ && random_.chance(odds_.full)) {
    ++faults_.full;
    return cache::TierOutcome::kFailed;
  }
  const auto pages = static_cast<std::size_t>(host_.pages_per_slot);
  const auto entries = pages * static_cast<std::size_t>(host_.page_size);
  const auto slot = static_cast<std::size_t>(job.job.slot);
  const auto from = std::span(host_.entries).subspan(slot * entries, entries);
  const auto owners = std::span(host_.written_for).subspan(slot * pages, pages);
  records_[job.job.key.words] = {.tokens = {job.job.tokens.begin(), job.job.tokens.end()},
                                 .entries = {from.begin(), from.end()},
                                 .written_for = {owners.begin(), owners.end()},
                                 .digest = job.digest};
  return cache::TierOutcome::kDone;
}

}  // namespace quire::sim
