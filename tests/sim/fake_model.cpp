#include "tests/sim/fake_model.h"

#include <algorithm>
#include <utility>

#include "tests/sim/violation.h"

namespace quire::sim {

using scheduler::StepOutput;
using scheduler::StepPlan;
using scheduler::StepRow;
using scheduler::StepSample;

FakeModel::FakeModel(const Scenario& scenario, HostMemory& host)
    : host_(host),
      groups_(scenario.groups),
      fault_period_(scenario.model_fault_period),
      put_off_(scenario.put_off) {
  for (const Group& group : groups_) page_size_ = std::max(page_size_, group.block_size);
  memory_.resize(static_cast<std::size_t>(scenario.num_blocks * page_size_));
}

// Copies come first, and all rows write before any sample reads: a block that two rows share cannot
// stay unseen.
void FakeModel::execute(const StepPlan& plan, StepOutput& output) {
  output.clear();
  output.step_id = plan.step_id;
  std::swap(sampled_, sampled_before_);
  sampled_.clear();
  for (const scheduler::PageCopy& copy : plan.copies) copy_page(copy, output);
  for (std::size_t row = 0; row < plan.rows.size(); ++row) write_row(plan, row);
  for (const StepSample& sample : plan.samples) answer_sample(plan, sample, output);
}

// Of a row ahead: what the step before chose; after a fault, or where it put the choice off,
// anything will do.
TokenId FakeModel::token_of(const StepPlan& plan, const StepRow& row, std::int32_t i) const {
  if (row.source_sample < 0) return plan.tokens[static_cast<std::size_t>(row.token_begin + i)];
  return std::max(sampled_before_.at(static_cast<std::size_t>(row.source_sample)), 0);
}

void FakeModel::copy_page(const scheduler::PageCopy& copy, StepOutput& output) {
  const auto page = [this, &copy](scheduler::CopyKind in_host, BlockId block) {
    std::vector<Entry>& memory = copy.kind == in_host ? host_.entries : memory_;
    return memory.begin() + static_cast<std::int32_t>(block) * page_size_;
  };
  const auto from = page(scheduler::CopyKind::kIn, copy.from);
  std::copy(from, from + page_size_, page(scheduler::CopyKind::kOut, copy.to));
  ++output.copies_completed;
}

FakeModel::Table FakeModel::table_of(const StepPlan& plan, std::size_t row,
                                     std::size_t group) const {
  const std::int32_t block_size = groups_[group].block_size;
  if (group == 0) {
    const StepRow& r = plan.rows[row];
    return {.blocks = std::span(plan.block_ids)
                          .subspan(static_cast<std::size_t>(r.block_begin),
                                   static_cast<std::size_t>(r.num_blocks)),
            .block_size = block_size};
  }
  const scheduler::GroupBlocks& blocks = plan.more_groups.at(group - 1);
  const auto begin = static_cast<std::size_t>(blocks.row_begin.at(row));
  const auto end = static_cast<std::size_t>(blocks.row_begin.at(row + 1));
  return {.blocks = std::span(blocks.block_ids).subspan(begin, end - begin),
          .block_size = block_size};
}

Entry& FakeModel::entry_at(const Table& table, std::int32_t position) {
  const auto at = static_cast<std::size_t>(position / table.block_size);
  require(at < table.blocks.size() && table.blocks[at] != kNoBlock, "a position without a block");
  return memory_[static_cast<std::size_t>(static_cast<std::int32_t>(table.blocks[at]) * page_size_ +
                                          position % table.block_size)];
}

void FakeModel::write_row(const StepPlan& plan, std::size_t row) {
  const StepRow& r = plan.rows[row];
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Table table = table_of(plan, row, g);
    Entry previous = r.first_position == 0 ? kNoEntry : entry_at(table, r.first_position - 1);
    for (std::int32_t i = 0; i < r.num_tokens; ++i) {
      const std::int32_t position = r.first_position + i;
      previous = entry_of(token_of(plan, r, i), position, g, previous);
      entry_at(table, position) = previous;
    }
  }
}

// What the last of the row's first `num_tokens` tokens sees.
std::uint64_t FakeModel::state_of(const StepPlan& plan, std::size_t row, std::int32_t num_tokens) {
  std::uint64_t state = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Table table = table_of(plan, row, g);
    for (std::int32_t p = first_attended(groups_[g], num_tokens); p < num_tokens; ++p) {
      state = attend(state, entry_at(table, p));
    }
  }
  return state;
}

// Logits that are not finite come from entries that are not: what the row wrote serves nobody. (Nor
// does what was before it: Simulation::spoil.)
void FakeModel::spoil(const StepPlan& plan, std::size_t row) {
  ++num_faults_;
  const StepRow& r = plan.rows[row];
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Table table = table_of(plan, row, g);
    for (std::int32_t i = 0; i < r.num_tokens; ++i) entry_at(table, r.first_position + i) = kSpoilt;
  }
}

void FakeModel::spoil_block(BlockId block, const FakeTier& tier, const CacheSalt& salt) {
  const auto page = std::span(memory_).subspan(
      static_cast<std::size_t>(static_cast<std::int32_t>(block) * page_size_),
      static_cast<std::size_t>(page_size_));
  // Where a slot has several pages, another span may have one of them in common.
  const std::size_t num_copies = host_.pages_per_slot == 1 ? host_.written_for.size() : 0;
  for (std::size_t slot = 0; slot < num_copies; ++slot) {
    const auto copy = std::span(host_.entries).subspan(slot * page.size(), page.size());
    if (host_.written_for[slot] != salt || !std::ranges::equal(page, copy)) continue;
    if (tier.is_busy(BlockId{static_cast<std::int32_t>(slot)})) continue;
    std::ranges::fill(copy, kSpoilt);
  }
  std::ranges::fill(page, kSpoilt);
}

bool FakeModel::puts_off(const StepPlan& plan, const StepSample& sample) const {
  if (sample.target != kNoToken) return false;
  const std::uint64_t draw = mix((static_cast<std::uint64_t>(plan.step_id) << 16) +
                                 static_cast<std::uint64_t>(sample.row) + 1);
  return draw % 1000 < static_cast<std::uint64_t>(put_off_);
}

void FakeModel::answer_sample(const StepPlan& plan, const StepSample& sample, StepOutput& output) {
  if (puts_off(plan, sample)) {
    ++num_put_off_;
    sampled_.push_back(kNoToken);
    output.samples.push_back({});
    return;
  }
  const StepRow& row = plan.rows.at(sample.row);
  const std::int32_t context = row.first_position + sample.offset + 1;
  std::uint64_t history = 0;
  for (const TokenId token : sample.history) history = attend(history, static_cast<Entry>(token));
  // A sampler that wants the tokens so far has them from the host, where the newest is not yet.
  if (row.source_sample >= 0 && sample.params->presence_penalty == 0.0f) {
    history = attend(history, static_cast<Entry>(token_of(plan, row, 0)));
  }
  answer({.state = state_of(plan, static_cast<std::size_t>(sample.row), context),
          .history = history,
          .position = sample.position,
          .target = sample.target,
          .choice = sample.choice,
          .num_top = sample.num_top,
          .mask_end_tokens = sample.mask_end_tokens,
          .fault_period = fault_period_},
         *sample.params, answer_);
  if (answer_.fault) spoil(plan, static_cast<std::size_t>(sample.row));
  sampled_.push_back(answer_.fault ? kNoToken : answer_.token);
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
