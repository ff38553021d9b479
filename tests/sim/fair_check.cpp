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

bool share_one(const std::vector<SequenceId>& a, const std::vector<SequenceId>& b) {
  return std::ranges::any_of(a,
                             [&b](SequenceId id) { return std::ranges::find(b, id) != b.end(); });
}

}  // namespace

void FairCheck::Range::raise_to(const Range& other) {
  least = std::max(least, other.least);
  most = std::max(most, other.most);
}

FairCheck::FairCheck(const Scenario& scenario, std::int64_t longest)
    : has_forgetful_queue_(scenario.num_tenants * (scenario.odds.priority > 0 ? 3 : 1) >
                           scenario.scheduler.max_num_seqs + scenario.scheduler.max_queue_len),
      bound_(2 * scenario.scheduler.max_num_seqs *
             std::min<std::int64_t>(scenario.scheduler.max_model_len, longest)),
      flows_(scenario.num_tenants > 1 ? static_cast<std::size_t>(scenario.num_tenants) * kPriorities
                                      : 0),
      bases_(flows_.size() * flows_.size()) {}

void FairCheck::sort_by_flow(const Core& core) {
  for (Flow& flow : flows_) {
    flow.waiting_now.clear();
    flow.reading_now.clear();
    flow.admitted_now.clear();
    flow.num_present = 0;
  }
  for (const Sequence* sequence : core.scheduler.sequences()) {
    Flow& flow = flow_of(*sequence);
    ++flow.num_present;
    if (waits(*sequence)) flow.waiting_now.push_back(sequence->id);
    if (sequence->reads != cache::kNoTicket) flow.reading_now.push_back(sequence->id);
  }
}

FairCheck::Flow& FairCheck::flow_of(const Sequence& sequence) {
  return flows_[sequence.tenant * kPriorities + static_cast<std::size_t>(sequence.priority + 1)];
}

// Where a flow begins that comes to wait: at the level, or at the least of its priority that waits.
// Those that did wait may do so still; those that have waited on with the same sequence do.
FairCheck::Range FairCheck::start_of(const Flow& flow) const {
  Range start = level_;
  const auto place = static_cast<std::size_t>(&flow - flows_.data());
  for (std::size_t f = place % kPriorities; f < flows_.size(); f += kPriorities) {
    const Flow& other = flows_[f];
    if (&other == &flow || other.waiting.empty()) continue;
    start.least = std::min(start.least, other.count.least);
    if (!share_one(other.waiting, other.waiting_now)) continue;
    start.most = std::min(start.most, other.count.most);
  }
  return start;
}

void FairCheck::look(const Core& core) {
  if (flows_.empty()) return;
  sort_by_flow(core);
  std::vector<Range> starts;
  for (const Flow& flow : flows_) {
    const bool goes_on = flow.waiting_now.empty() || share_one(flow.waiting, flow.waiting_now);
    starts.push_back(goes_on ? Range{} : start_of(flow));
  }
  for (std::size_t f = 0; f < flows_.size(); ++f) {
    Flow& flow = flows_[f];
    if (!flow.waiting_now.empty() && flow.waiting.empty()) {
      flow.count.raise_to(starts[f]);
      start_interval(flow);
    } else if (!flow.waiting_now.empty() && !share_one(flow.waiting, flow.waiting_now)) {
      flow.count.most = std::max(flow.count.most, starts[f].most);
      start_interval(flow);
    }
    if (flow.num_present == 0 && has_forgetful_queue_) flow.count.least = 0;
    flow.waiting = flow.waiting_now;
    flow.reading = flow.reading_now;
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
void FairCheck::come_to_wait(Flow& flow) {
  std::vector<SequenceId>& stood = flow.admitted_now;
  stood.insert(stood.end(), flow.waiting_now.begin(), flow.waiting_now.end());
  bool reads_on = false;  // or again: it may have come to wait in between
  for (const SequenceId id : flow.reading_now) {
    const bool did_read = std::ranges::find(flow.reading, id) != flow.reading.end();
    reads_on = reads_on || did_read;
    if (!did_read) stood.push_back(id);
  }
  flow.came_to_wait = flow.waiting.empty() && !stood.empty();
  if (flow.came_to_wait) {
    flow.least_start = start_of(flow).least;
    flow.count.most = std::max(flow.count.most, level_.most);
    start_interval(flow);
  } else if (reads_on || !share_one(flow.waiting, stood)) {
    flow.count.most = std::max(flow.count.most, level_.most);
    start_interval(flow);
  }
}

void FairCheck::raise_those_that_came() {
  for (Flow& flow : flows_) {
    if (!std::exchange(flow.came_to_wait, false)) continue;
    flow.count.raise_to({.least = flow.least_start, .most = level_.most});
  }
}

void FairCheck::after(const Core& core) {
  if (flows_.empty()) return;
  sort_by_flow(core);
  std::vector<const Sequence*> admitted(core.plan.rows.size(), nullptr);
  for (std::size_t i = 0; i < admitted.size(); ++i) {
    const Sequence* const sequence = find(core, core.plan.rows[i].sequence);
    const auto before = ran_before_.find(sequence->id);
    if (before != ran_before_.end() && before->second == sequence->num_preemptions) continue;
    admitted[i] = sequence;
    flow_of(*sequence).admitted_now.push_back(sequence->id);
  }
  for (Flow& flow : flows_) come_to_wait(flow);
  for (std::size_t i = 0; i < admitted.size(); ++i) {
    if (admitted[i] != nullptr) {
      raise_those_that_came();
      admit(core, *admitted[i]);
    }
    charge(core.plan.rows[i], flow_of(*find(core, core.plan.rows[i].sequence)));
  }
  raise_those_that_came();
  for (Flow& flow : flows_) {
    flow.waiting = flow.waiting_now;
    flow.reading = flow.reading_now;
  }
  compare_served();
}

void FairCheck::after_ahead(const Core& core) {
  if (flows_.empty()) return;
  for (const scheduler::StepRow& row : core.next.rows) {
    charge(row, flow_of(*find(core, row.sequence)));
  }
  compare_served();
}

void FairCheck::admit(const Core& core, const Sequence& sequence) {
  const Flow& flow = flow_of(sequence);
  for (const Sequence* other : core.scheduler.sequences()) {
    if (other->tenant == sequence.tenant || other->priority != sequence.priority) continue;
    require(!waits(*other) || flow.count.least <= flow_of(*other).count.most,
            "overtaken by a tenant that was served more", other->id);
  }
  level_.raise_to(flow.count);
}

// Each position counts once, however often it is computed.
void FairCheck::charge(const scheduler::StepRow& row, Flow& flow) {
  std::int32_t& charged = charged_[row.sequence];
  const std::int32_t tokens = std::max(0, row.context_len - std::max(charged, row.first_position));
  charged = std::max(charged, row.context_len);
  flow.count.add(tokens);
  flow.served += tokens;
}

void FairCheck::start_interval(const Flow& flow) {
  const auto a = static_cast<std::size_t>(&flow - flows_.data());
  for (std::size_t b = 0; b < flows_.size(); ++b) {
    base(a, b) = flow.served - flows_[b].served;
    base(b, a) = -base(a, b);
  }
}

void FairCheck::compare_served() {
  if (flows_.size() > kMaxCompared * kPriorities) return;
  for (std::size_t a = 0; a < flows_.size(); ++a) {
    for (std::size_t b = a + kPriorities; b < flows_.size(); b += kPriorities) {
      if (flows_[a].waiting.empty() || flows_[b].waiting.empty()) continue;
      ++num_compared_;
      const std::int64_t more = flows_[a].served - flows_[b].served - base(a, b);
      require(std::max(more, -more) <= bound_, "tenants that wait are served too unequally");
    }
  }
}

}  // namespace quire::sim
