#include "tests/sim/plan_check.h"

#include <algorithm>

#include "tests/sim/violation.h"

namespace quire::sim {
namespace {

using scheduler::RunsBefore;
using scheduler::Sequence;
using scheduler::SequenceState;
using scheduler::StepRow;

bool runs(const Sequence& sequence) {
  return sequence.state == SequenceState::kRunning && !sequence.paused;
}
bool waits(const Sequence& sequence) {
  return sequence.state == SequenceState::kWaiting && !sequence.paused;
}

const Sequence* find(const Core& core, SequenceId id) {
  for (const Sequence* sequence : core.scheduler.sequences()) {
    if (sequence->id == id) return sequence;
  }
  return nullptr;
}

const StepRow* row_of(const Core& core, SequenceId id) {
  for (const StepRow& row : core.plan.rows) {
    if (row.sequence == id) return &row;
  }
  return nullptr;
}

}  // namespace

void PlanCheck::before(const Core& core) {
  ran_before_.clear();
  const Sequence* first = nullptr;
  for (const Sequence* sequence : core.scheduler.sequences()) {
    if (!runs(*sequence)) continue;
    ran_before_.push_back(sequence->id);
    if (first == nullptr || RunsBefore{}(*sequence, *first)) first = sequence;
  }
  std::sort(ran_before_.begin(), ran_before_.end());
  first_ = first == nullptr ? std::nullopt : std::optional(first->id);
}

void PlanCheck::after(const Core& core, scheduler::Clock::time_point now) {
  check_limits(core);
  check_rows(core);
  check_blocks(core);
  check_preempted(core);
  check_first(core);
  check_queue(core);
  check_deadlines(core, now);
}

void PlanCheck::check_limits(const Core& core) const {
  const auto& options = scenario_.scheduler;
  std::int32_t num_tokens = 0;
  for (const StepRow& row : core.plan.rows) {
    num_tokens += row.num_tokens;
    require(options.max_chunk == 0 || row.num_tokens <= options.max_chunk, "row over max_chunk",
            row.sequence);
  }
  require(num_tokens <= options.max_num_batched_tokens, "token budget exceeded");
  require(num_tokens == static_cast<std::int32_t>(core.plan.tokens.size()), "stray tokens");
  require(core.scheduler.stats().running <= options.max_num_seqs, "max_num_seqs exceeded");
  require(core.plan.rows.size() <= static_cast<std::size_t>(options.max_num_seqs), "too many rows");
  const auto sequences = core.scheduler.sequences();
  const bool someone_could =
      std::any_of(sequences.begin(), sequences.end(),
                  [](const Sequence* sequence) { return !sequence->paused; });
  require(!core.plan.empty() || !someone_could, "deadlock: nothing was planned");
}

// Each row is the next piece of a sequence that runs, over that sequence's own blocks.
void PlanCheck::check_rows(const Core& core) const {
  std::vector<SequenceId> seen;
  for (const StepRow& row : core.plan.rows) {
    const Sequence* const sequence = find(core, row.sequence);
    require(sequence != nullptr && runs(*sequence), "row of one that does not run", row.sequence);
    require(row.first_position == sequence->num_computed_tokens, "row begins elsewhere",
            row.sequence);
    require(row.num_tokens >= 1 && row.context_len <= sequence->num_tokens(), "row of wrong length",
            row.sequence);
    require(row.context_len == row.first_position + row.num_tokens, "wrong context_len",
            row.sequence);
    const auto tokens = core.plan.tokens.begin() + row.token_begin;
    require(
        std::equal(tokens, tokens + row.num_tokens, sequence->tokens.begin() + row.first_position),
        "row with other tokens", row.sequence);
    require(row.num_blocks == (row.context_len + scenario_.block_size - 1) / scenario_.block_size,
            "wrong number of blocks", row.sequence);
    const auto blocks = core.plan.block_ids.begin() + row.block_begin;
    require(row.num_blocks <= static_cast<std::int32_t>(sequence->blocks.size()) &&
                std::equal(blocks, blocks + row.num_blocks, sequence->blocks.blocks().begin()),
            "row with other blocks", row.sequence);
    seen.push_back(row.sequence);
  }
  std::sort(seen.begin(), seen.end());
  require(std::adjacent_find(seen.begin(), seen.end()) == seen.end(), "two rows of one sequence");
}

void PlanCheck::check_blocks(const Core& core) {
  held_.clear();
  for (const Sequence* sequence : core.scheduler.sequences()) {
    const auto blocks = sequence->blocks.blocks();
    held_.insert(held_.end(), blocks.begin(), blocks.end());
    require(sequence->num_preemptions <= scenario_.scheduler.max_preemptions, "preempted too often",
            sequence->id);
  }
  std::sort(held_.begin(), held_.end());
  require(std::adjacent_find(held_.begin(), held_.end()) == held_.end(),
          "a block in two places at once");
}

// Counted by what is seen, not by the sequence's own counter.
void PlanCheck::check_preempted(const Core& core) {
  for (const SequenceId id : ran_before_) {
    const Sequence* const sequence = find(core, id);
    if (sequence == nullptr || row_of(core, id) != nullptr || !waits(*sequence)) continue;
    require(++preemptions_[id] <= scenario_.scheduler.max_preemptions, "preempted too often", id);
    require(sequence->arrival == static_cast<std::uint64_t>(id), "lost its place", id);
  }
}

// The first was not preempted, and it moves unless all the others hold what they were promised.
void PlanCheck::check_first(const Core& core) const {
  const Sequence* const first = first_ ? find(core, *first_) : nullptr;
  if (first == nullptr) return;  // its deadline came
  require(first->state == SequenceState::kRunning, "the first was preempted", first->id);
  bool others_are_protected = false;
  for (const Sequence* sequence : core.scheduler.sequences()) {
    const bool promised = sequence->num_preemptions >= scenario_.scheduler.max_preemptions;
    if (sequence != first && runs(*sequence) && promised) others_are_protected = true;
  }
  require(others_are_protected || row_of(core, first->id) != nullptr, "the first did not move",
          first->id);
}

// Whoever was admitted comes before all who still wait.
void PlanCheck::check_queue(const Core& core) {
  const Sequence* last_admitted = nullptr;
  for (const StepRow& row : core.plan.rows) {
    if (std::binary_search(ran_before_.begin(), ran_before_.end(), row.sequence)) continue;
    const Sequence* const sequence = find(core, row.sequence);
    const std::int32_t preempted = sequence->num_preemptions;
    if (preempted > 0 && preempted == scenario_.scheduler.max_preemptions) ++num_guaranteed_;
    if (last_admitted == nullptr || RunsBefore{}(*last_admitted, *sequence)) {
      last_admitted = sequence;
    }
  }
  if (last_admitted == nullptr) return;
  for (const Sequence* sequence : core.scheduler.sequences()) {
    require(!waits(*sequence) || RunsBefore{}(*last_admitted, *sequence), "overtaken in the queue",
            sequence->id);
  }
}

void PlanCheck::check_deadlines(const Core& core, scheduler::Clock::time_point now) const {
  const auto next = core.scheduler.next_deadline();
  require(!next || *next > now, "a deadline passed unheeded");
}

}  // namespace quire::sim
