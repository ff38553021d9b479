#pragma once
// PlanCheck: what must hold for one call of Scheduler::schedule, seen from outside: before() notes
// the state, after() compares. Throws Violation.

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "proto/page_snapshot.h"
#include "scheduler/scheduler.h"
#include "tests/sim/core.h"

namespace quire::sim {

class PlanCheck final {
 public:
  explicit PlanCheck(const Scenario& scenario) : scenario_(scenario) {}

  void before(const Core& core);
  void after(Core& core, scheduler::Clock::time_point now);
  // The same for schedule_ahead, which has the tables and blocks of core.next checked here; what
  // else must hold for it is AheadCheck's.
  void after_ahead(Core& core);
  // core.plan is done, and core.next takes its place.
  void go_on() { pointed_to_.swap(pointed_to_ahead_); }
  // Whatever was aborted meanwhile, the step still reads what the plan pointed to.
  void before_execution(const Core& core) const;
  void before_execution_ahead(const Core& core) const;
  // Starts of sequences that had been preempted so often that their worst case was reserved.
  [[nodiscard]] std::int64_t num_guaranteed() const { return num_guaranteed_; }

 private:
  static constexpr std::uint64_t kSnapshotEvery = 8;  // steps

  [[nodiscard]] bool ran_before(SequenceId id) const;
  // It ran before, and was not preempted and admitted again since.
  [[nodiscard]] bool ran_on(const scheduler::Sequence& sequence) const;
  [[nodiscard]] bool is_forced(const Core& core) const;
  [[nodiscard]] std::int32_t prefill_limit(const Core& core) const;
  void check_limits(const Core& core);
  void check_rows(const Core& core) const;
  void check_long_prompt(const Core& core) const;
  void check_tables(const scheduler::StepPlan& plan, const scheduler::Sequence& sequence,
                    const scheduler::StepRow& row) const;
  [[nodiscard]] static std::span<const BlockId> blocks_of(const scheduler::StepPlan& plan,
                                                          std::size_t row, std::size_t group);
  void check_references(const Core& core);
  void check_snapshot(const Core& core);
  void check_slots(const Core& core) const;
  void check_writes(Core& core, const scheduler::StepPlan& plan);
  void check_copy(Core& core, const scheduler::PageCopy& copy);
  void check_preempted(const Core& core);
  void check_victims(const Core& core) const;
  void check_left_out(const Core& core) const;
  void check_paused(const Core& core) const;
  void check_first(const Core& core) const;
  void check_queue(const Core& core);
  void check_deadlines(const Core& core, scheduler::Clock::time_point now) const;

  const Scenario& scenario_;
  std::optional<SequenceId> first_;     // of those that ran before
  std::vector<SequenceId> ran_before_;  // sorted
  // Of those that had a seat: blocks, and preemptions.
  std::map<SequenceId, std::int32_t> held_before_, preempted_before_;
  std::vector<std::int32_t> references_;         // [block]; scratch
  std::vector<std::int32_t> in_tables_;          // the same without copies
  std::vector<std::int32_t> references_before_;  // [block]: a step ago
  PageSnapshot snapshot_;
  // What the plan's samples point to; and those of the plan ahead.
  std::vector<TokenId> pointed_to_, pointed_to_ahead_;
  std::vector<CacheSalt> written_for_;  // [block]: the tenant of its last writer
  std::map<SequenceId, std::int32_t> preemptions_;
  std::int64_t num_guaranteed_ = 0;
};

}  // namespace quire::sim
