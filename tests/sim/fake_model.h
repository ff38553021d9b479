#pragma once
// FakeModel: executes plans against a paged memory of hashes, the way a real one does: it writes an
// entry for each token of a row into the row's blocks, and reads everything back through them.

#include <cstdint>
#include <span>
#include <vector>

#include "scheduler/step.h"
#include "tests/sim/fake_tier.h"
#include "tests/sim/model_arithmetic.h"

namespace quire::sim {

class FakeModel final {
 public:
  FakeModel(const Scenario& scenario, HostMemory& host);

  void execute(const scheduler::StepPlan& plan, scheduler::StepOutput& output);
  // The block's entries are not finite, nor are those of the host's pages that are copies of it.
  void spoil_block(BlockId block, const FakeTier& tier, const CacheSalt& salt);
  // From now on every choice is made when it is asked for.
  void stop_putting_off() { put_off_ = 0; }
  [[nodiscard]] std::int64_t num_put_off() const { return num_put_off_; }
  [[nodiscard]] std::int64_t num_faults() const { return num_faults_; }

 private:
  // A row's table in one group.
  struct Table {
    std::span<const BlockId> blocks;
    std::int32_t block_size = 1;
  };
  [[nodiscard]] Table table_of(const scheduler::StepPlan& plan, std::size_t row,
                               std::size_t group) const;
  [[nodiscard]] Entry& entry_at(const Table& table, std::int32_t position);
  [[nodiscard]] TokenId token_of(const scheduler::StepPlan& plan, const scheduler::StepRow& row,
                                 std::int32_t i) const;
  void copy_page(const scheduler::PageCopy& copy, scheduler::StepOutput& output);
  void write_row(const scheduler::StepPlan& plan, std::size_t row);
  [[nodiscard]] std::uint64_t state_of(const scheduler::StepPlan& plan, std::size_t row,
                                       std::int32_t num_tokens);
  void spoil(const scheduler::StepPlan& plan, std::size_t row);
  [[nodiscard]] bool puts_off(const scheduler::StepPlan& plan,
                              const scheduler::StepSample& sample) const;
  void answer_sample(const scheduler::StepPlan& plan, const scheduler::StepSample& sample,
                     scheduler::StepOutput& output);

  HostMemory& host_;
  std::vector<Group> groups_;
  std::int32_t page_size_ = 0;  // entries of the largest group's block
  std::int32_t fault_period_;
  std::int32_t put_off_;                           // per mille
  std::vector<Entry> memory_;                      // [block][slot]; a block is any group's
  std::vector<TokenId> sampled_, sampled_before_;  // by this step, and by the one before
  Answer answer_;
  std::int64_t num_put_off_ = 0;
  std::int64_t num_faults_ = 0;
};

}  // namespace quire::sim
