#include "tests/sim/fake_model.h"

namespace quire::sim {

using scheduler::StepOutput;
using scheduler::StepPlan;
using scheduler::StepRow;
using scheduler::StepSample;

FakeModel::FakeModel(const Scenario& scenario)
    : block_size_(scenario.block_size),
      fault_period_(scenario.model_fault_period),
      put_off_(scenario.put_off),
      memory_(static_cast<std::size_t>(scenario.pool_tokens())) {}

// All rows write before any sample reads: a block that two rows share cannot stay unseen.
void FakeModel::execute(const StepPlan& plan, StepOutput& output) {
  output.clear();
  output.step_id = plan.step_id;
  for (const StepRow& row : plan.rows) write_row(plan, row);
  for (const StepSample& sample : plan.samples) answer_sample(plan, sample, output);
}

Entry& FakeModel::entry_at(const StepPlan& plan, const StepRow& row, std::int32_t position) {
  const BlockId block = plan.block_ids.at(row.block_begin + position / block_size_);
  return memory_.at(static_cast<std::int32_t>(block) * block_size_ + position % block_size_);
}

void FakeModel::write_row(const StepPlan& plan, const StepRow& row) {
  for (std::int32_t i = 0; i < row.num_tokens; ++i) {
    const std::int32_t position = row.first_position + i;
    const Entry previous = position == 0 ? kNoEntry : entry_at(plan, row, position - 1);
    entry_at(plan, row, position) =
        entry_of(plan.tokens.at(row.token_begin + i), position, previous);
  }
}

std::uint64_t FakeModel::state_before(const StepPlan& plan, const StepRow& row,
                                      std::int32_t position) {
  std::uint64_t state = 0;
  for (std::int32_t p = 0; p < position; ++p) state = fold(state, entry_at(plan, row, p));
  return state;
}

bool FakeModel::puts_off(const StepPlan& plan, const StepSample& sample) const {
  if (sample.target != kNoToken) return false;
  const std::uint64_t draw = mix((static_cast<std::uint64_t>(plan.step_id) << 16) +
                                 static_cast<std::uint64_t>(sample.row) + 1);
  return draw % 1000 < static_cast<std::uint64_t>(put_off_);
}

void FakeModel::answer_sample(const StepPlan& plan, const StepSample& sample, StepOutput& output) {
  if (puts_off(plan, sample)) {
    output.samples.push_back({});
    return;
  }
  const StepRow& row = plan.rows.at(sample.row);
  const std::int32_t context = row.first_position + sample.offset + 1;
  std::uint64_t history = 0;
  for (const TokenId token : sample.history) history = fold(history, static_cast<Entry>(token));
  answer({.state = state_before(plan, row, context),
          .history = history,
          .position = sample.position,
          .target = sample.target,
          .choice = sample.choice,
          .num_top = sample.num_top,
          .mask_end_tokens = sample.mask_end_tokens,
          .fault_period = fault_period_},
         *sample.params, answer_);
  output.samples.push_back({.token_begin = static_cast<std::int32_t>(output.tokens.size()),
                            .num_tokens = 1,
                            .fault = answer_.fault});
  output.tokens.push_back({.token = answer_.token,
                           .logprob = answer_.logprob,
                           .top_begin = static_cast<std::int32_t>(output.top.size()),
                           .top_count = static_cast<std::int32_t>(answer_.top.size())});
  output.top.insert(output.top.end(), answer_.top.begin(), answer_.top.end());
}

}  // namespace quire::sim
