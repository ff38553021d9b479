#include "tests/sim/fair_check.h"

#include <algorithm>
#include <utility>

#include "tests/sim/violation.h"

namespace quire::sim {
namespace {

using scheduler::Sequence;
using scheduler::SequenceState;

// More pairs than these would be most of a run's time.
constexpr std::size_t kMaxCompared = 4;

bool waits(const Sequence& sequence) {
  return sequence.state == SequenceState::kWaiting && !sequence.paused &&
         sequence.waits_for == nullptr && sequence.reads == cache::kNoTicket;
}

bool share_one(const std::vector<SequenceId>& a, const std::vector<SequenceId>& b) {
  return std::ranges::any_of(a,
                             [&b](SequenceId id) { return std::ranges::find(b, id) != b.end(); });
}

const Sequence* find(const Core& core, SequenceId id) {
  for (const Sequence* sequence : core.scheduler.sequences()) {
    if (sequence->id == id) return sequence;
  }
  return nullptr;
}

}  // namespace

void FairCheck::Range::raise_to(const Range& other) {
  least = std::max(least, other.least);
  most = std::max(most, other.most);
}

FairCheck::FairCheck(const Scenario& scenario, std::int64_t longest)
    : has_forgetful_queue_(scenario.num_tenants >
                           scenario.scheduler.max_num_seqs + scenario.scheduler.max_queue_len),
      has_priorities_(scenario.odds.priority > 0),
      bound_(2 * scenario.scheduler.max_num_seqs *
             std::min<std::int64_t>(scenario.scheduler.max_model_len, longest)),
      tenants_(scenario.num_tenants > 1 ? static_cast<std::size_t>(scenario.num_tenants) : 0),
      bases_(tenants_.size() * tenants_.size()) {}

void FairCheck::sort_by_tenant(const Core& core) {
  for (Tenant& tenant : tenants_) {
    tenant.waiting_now.clear();
    tenant.reading_now.clear();
    tenant.admitted_now.clear();
    tenant.num_present = 0;
  }
  for (const Sequence* sequence : core.scheduler.sequences()) {
    Tenant& tenant = tenants_[sequence->tenant];
    ++tenant.num_present;
    if (waits(*sequence)) tenant.waiting_now.push_back(sequence->id);
    if (sequence->reads != cache::kNoTicket) tenant.reading_now.push_back(sequence->id);
  }
}

void FairCheck::look(const Core& core) {
  if (tenants_.empty()) return;
  sort_by_tenant(core);
  for (Tenant& tenant : tenants_) {
    if (!tenant.waiting_now.empty() && tenant.waiting.empty()) {
      tenant.count.raise_to(level_);
      start_interval(tenant);
    } else if (!tenant.waiting_now.empty() && !share_one(tenant.waiting, tenant.waiting_now)) {
      tenant.count.most = std::max(tenant.count.most, level_.most);
      start_interval(tenant);
    }
    if (tenant.num_present == 0 && has_forgetful_queue_) tenant.count.least = 0;
    tenant.waiting = tenant.waiting_now;
    tenant.reading = tenant.reading_now;
  }
  ran_before_.clear();
  for (const Sequence* sequence : core.scheduler.sequences()) {
    if (sequence->state != SequenceState::kRunning || sequence->paused) continue;
    ran_before_[sequence->id] = sequence->num_preemptions;
  }
}

// In schedule() sequences come to wait before any is admitted, and those that are preempted between
// two rows of those that run: the count is raised before or after these. Those that were admitted
// or are being read did stand in the queue.
void FairCheck::come_to_wait(Tenant& tenant) {
  std::vector<SequenceId>& stood = tenant.admitted_now;
  stood.insert(stood.end(), tenant.waiting_now.begin(), tenant.waiting_now.end());
  bool reads_on = false;  // or again: it may have come to wait in between
  for (const SequenceId id : tenant.reading_now) {
    const bool did_read = std::ranges::find(tenant.reading, id) != tenant.reading.end();
    reads_on = reads_on || did_read;
    if (!did_read) stood.push_back(id);
  }
  tenant.came_to_wait = tenant.waiting.empty() && !stood.empty();
  if (tenant.came_to_wait) {
    tenant.count.most = std::max(tenant.count.most, level_.most);
    start_interval(tenant);
  } else if (reads_on || !share_one(tenant.waiting, stood)) {
    tenant.count.most = std::max(tenant.count.most, level_.most);
    start_interval(tenant);
  }
}

void FairCheck::raise_those_that_came() {
  for (Tenant& tenant : tenants_) {
    if (std::exchange(tenant.came_to_wait, false)) tenant.count.raise_to(level_);
  }
}

void FairCheck::after(const Core& core) {
  if (tenants_.empty()) return;
  sort_by_tenant(core);
  std::vector<const Sequence*> admitted(core.plan.rows.size(), nullptr);
  for (std::size_t i = 0; i < admitted.size(); ++i) {
    const Sequence* const sequence = find(core, core.plan.rows[i].sequence);
    const auto before = ran_before_.find(sequence->id);
    if (before != ran_before_.end() && before->second == sequence->num_preemptions) continue;
    admitted[i] = sequence;
    tenants_[sequence->tenant].admitted_now.push_back(sequence->id);
  }
  for (Tenant& tenant : tenants_) come_to_wait(tenant);
  for (std::size_t i = 0; i < admitted.size(); ++i) {
    if (admitted[i] != nullptr) {
      raise_those_that_came();
      admit(core, *admitted[i]);
    }
    charge(core.plan.rows[i], tenants_[find(core, core.plan.rows[i].sequence)->tenant]);
  }
  raise_those_that_came();
  for (Tenant& tenant : tenants_) {
    tenant.waiting = tenant.waiting_now;
    tenant.reading = tenant.reading_now;
  }
  compare_served();
}

void FairCheck::after_ahead(const Core& core) {
  if (tenants_.empty()) return;
  for (const scheduler::StepRow& row : core.next.rows) {
    charge(row, tenants_[find(core, row.sequence)->tenant]);
  }
  compare_served();
}

void FairCheck::admit(const Core& core, const Sequence& sequence) {
  const Tenant& tenant = tenants_[sequence.tenant];
  for (const Sequence* other : core.scheduler.sequences()) {
    if (other->tenant == sequence.tenant || other->priority != sequence.priority) continue;
    require(!waits(*other) || tenant.count.least <= tenants_[other->tenant].count.most,
            "overtaken by a tenant that was served more", other->id);
  }
  level_.raise_to(tenant.count);
}

// Each position counts once, however often it is computed.
void FairCheck::charge(const scheduler::StepRow& row, Tenant& tenant) {
  std::int32_t& charged = charged_[row.sequence];
  const std::int32_t tokens = std::max(0, row.context_len - std::max(charged, row.first_position));
  charged = std::max(charged, row.context_len);
  tenant.count.add(tokens);
  tenant.served += tokens;
}

void FairCheck::start_interval(const Tenant& tenant) {
  const auto a = static_cast<std::size_t>(&tenant - tenants_.data());
  for (std::size_t b = 0; b < tenants_.size(); ++b) {
    base(a, b) = tenant.served - tenants_[b].served;
    base(b, a) = -base(a, b);
  }
}

void FairCheck::compare_served() {
  if (has_priorities_ || tenants_.size() > kMaxCompared) return;
  for (std::size_t a = 0; a < tenants_.size(); ++a) {
    for (std::size_t b = a + 1; b < tenants_.size(); ++b) {
      if (tenants_[a].waiting.empty() || tenants_[b].waiting.empty()) continue;
      ++num_compared_;
      const std::int64_t more = tenants_[a].served - tenants_[b].served - base(a, b);
      require(std::max(more, -more) <= bound_, "tenants that wait are served too unequally");
    }
  }
}

}  // namespace quire::sim
