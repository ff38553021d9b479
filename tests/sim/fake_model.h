#pragma once
// FakeModel: executes plans against a paged memory of hashes, the way a real one does: it writes an
// entry for each token of a row into the row's blocks, and reads everything back through them.

#include <cstdint>
#include <vector>

#include "scheduler/step.h"
#include "tests/sim/model_arithmetic.h"

namespace quire::sim {

class FakeModel final {
 public:
  explicit FakeModel(const Scenario& scenario);

  void execute(const scheduler::StepPlan& plan, scheduler::StepOutput& output);
  // From now on every choice is made when it is asked for.
  void stop_putting_off() { put_off_ = 0; }

 private:
  [[nodiscard]] Entry& entry_at(const scheduler::StepPlan& plan, const scheduler::StepRow& row,
                                std::int32_t position);
  void write_row(const scheduler::StepPlan& plan, const scheduler::StepRow& row);
  [[nodiscard]] std::uint64_t state_before(const scheduler::StepPlan& plan,
                                           const scheduler::StepRow& row, std::int32_t position);
  [[nodiscard]] bool puts_off(const scheduler::StepPlan& plan,
                              const scheduler::StepSample& sample) const;
  void answer_sample(const scheduler::StepPlan& plan, const scheduler::StepSample& sample,
                     scheduler::StepOutput& output);

  std::int32_t block_size_;
  std::int32_t fault_period_;
  std::int32_t put_off_;       // per mille
  std::vector<Entry> memory_;  // [block][slot]
  Answer answer_;
};

}  // namespace quire::sim
