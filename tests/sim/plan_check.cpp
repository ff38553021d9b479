#include "tests/sim/plan_check.h"

#include <algorithm>

#include "tests/sim/violation.h"

namespace quire::sim {
namespace {

using scheduler::RunsBefore;
using scheduler::Sequence;
using scheduler::SequenceState;
using scheduler::StepRow;

// Its pages are being read, or its leader's.
bool waits_for_reads(const Sequence& sequence) {
  const Sequence& first = sequence.waits_for == nullptr ? sequence : *sequence.waits_for;
  return first.reads != cache::kNoTicket;
}

std::vector<TokenId> pointed_to(const scheduler::StepPlan& plan) {
  std::vector<TokenId> all;
  for (const scheduler::StepSample& sample : plan.samples) {
    all.insert(all.end(), sample.history.begin(), sample.history.end());
    all.push_back(sample.params->max_tokens);
  }
  return all;
}

}  // namespace

void PlanCheck::before_execution(const Core& core) const {
  require(pointed_to(core.plan) == pointed_to_, "what the plan points to has changed");
}

void PlanCheck::before_execution_ahead(const Core& core) const {
  require(pointed_to(core.next) == pointed_to_ahead_, "what the plan ahead points to has changed");
}

void PlanCheck::before(const Core& core) {
  ran_before_.clear();
  held_before_.clear();
  preempted_before_.clear();
  const Sequence* first = nullptr;
  for (const Sequence* sequence : core.scheduler.sequences()) {
    if (sequence->state == SequenceState::kRunning) {
      held_before_[sequence->id] = sequence->blocks.num_held();
      preempted_before_[sequence->id] = sequence->num_preemptions;
    }
    if (!runs(*sequence)) continue;
    ran_before_.push_back(sequence->id);
    if (first == nullptr || RunsBefore{}(*sequence, *first)) first = sequence;
  }
  std::sort(ran_before_.begin(), ran_before_.end());
  first_ = first == nullptr ? std::nullopt : std::optional(first->id);
}

void PlanCheck::after(Core& core, scheduler::Clock::time_point now) {
  pointed_to_ = pointed_to(core.plan);
  check_limits(core);
  check_rows(core);
  check_long_prompt(core);
  check_references(core);
  check_snapshot(core);
  check_writes(core, core.plan);
  check_preempted(core);
  check_victims(core);
  check_left_out(core);
  check_paused(core);
  check_first(core);
  check_queue(core);
  check_deadlines(core, now);
}

void PlanCheck::after_ahead(Core& core) {
  pointed_to_ahead_ = pointed_to(core.next);
  for (const StepRow& row : core.next.rows) {
    const Sequence* const sequence = find(core, row.sequence);
    require(sequence != nullptr && runs(*sequence), "row ahead of one that does not run",
            row.sequence);
    check_tables(core.next, *sequence, row);
  }
  check_references(core);
  references_before_ = references_;
  check_writes(core, core.next);
}

void PlanCheck::check_limits(const Core& core) {
  const auto& options = scenario_.scheduler;
  std::int32_t num_tokens = 0, num_prefill_tokens = 0;
  bool anyone_decodes = false;  // that ran before: of others the step could not know
  for (const StepRow& row : core.plan.rows) {
    num_tokens += row.num_tokens;
    const Sequence* const sequence = find(core, row.sequence);
    require(sequence != nullptr, "row of an unknown sequence", row.sequence);
    const bool decodes = row.first_position + 1 == sequence->num_tokens();
    if (!decodes) num_prefill_tokens += row.num_tokens;
    if (decodes && ran_on(*sequence)) anyone_decodes = true;
    require(options.max_chunk == 0 || row.num_tokens <= options.max_chunk, "row over max_chunk",
            row.sequence);
  }
  require(num_tokens <= options.max_num_batched_tokens, "token budget exceeded");
  const bool bounded = options.max_num_prefill_tokens > 0 && anyone_decodes;
  const std::int32_t limit =
      bounded ? options.max_num_prefill_tokens : options.max_num_batched_tokens;
  require(num_prefill_tokens <= limit, "prefill holds up those that decode");
  require(num_tokens == static_cast<std::int32_t>(core.plan.tokens.size()), "stray tokens");
  require(core.scheduler.stats().running <= options.max_num_seqs, "max_num_seqs exceeded");
  require(core.plan.rows.size() <= static_cast<std::size_t>(options.max_num_seqs), "too many rows");
  const auto sequences = core.scheduler.sequences();
  const bool someone_could = std::any_of(
      sequences.begin(), sequences.end(),
      [](const Sequence* sequence) { return !sequence->paused && !waits_for_reads(*sequence); });
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
    check_tables(core.plan, *sequence, row);
    // The others of its request share what is computed before it can end.
    require(sequence->first_follower == nullptr || row.context_len < sequence->num_prompt_tokens ||
                row.num_tokens == 1,
            "a leader may end before its followers share", row.sequence);
    seen.push_back(row.sequence);
  }
  std::sort(seen.begin(), seen.end());
  require(std::adjacent_find(seen.begin(), seen.end()) == seen.end(), "two rows of one sequence");
}

// In every group the row's table is the beginning of the sequence's own.
void PlanCheck::check_tables(const scheduler::StepPlan& plan, const Sequence& sequence,
                             const StepRow& row) const {
  const auto index = static_cast<std::size_t>(&row - plan.rows.data());
  for (std::size_t g = 0; g < scenario_.groups.size(); ++g) {
    const auto blocks = blocks_of(plan, index, g);
    const std::int32_t size = scenario_.groups[g].block_size;
    require(static_cast<std::int32_t>(blocks.size()) == (row.context_len + size - 1) / size,
            "wrong number of blocks", row.sequence);
    const auto own = sequence.blocks.table(g).blocks();
    require(blocks.size() <= own.size() && std::equal(blocks.begin(), blocks.end(), own.begin()),
            "row with other blocks", row.sequence);
    // What no token from the next one to be computed on attends to is given back.
    const std::int32_t needed =
        first_attended(scenario_.groups[g], sequence.num_computed_tokens + 1) / size;
    for (std::int32_t i = 0; i < needed; ++i) {
      require(blocks[static_cast<std::size_t>(i)] == kNoBlock, "it holds what left its window",
              row.sequence);
    }
  }
}

std::span<const BlockId> PlanCheck::blocks_of(const scheduler::StepPlan& plan, std::size_t row,
                                              std::size_t group) {
  if (group == 0) {
    const StepRow& r = plan.rows[row];
    return std::span(plan.block_ids)
        .subspan(static_cast<std::size_t>(r.block_begin), static_cast<std::size_t>(r.num_blocks));
  }
  const scheduler::GroupBlocks& blocks = plan.more_groups[group - 1];
  const auto begin = static_cast<std::size_t>(blocks.row_begin[row]);
  return std::span(blocks.block_ids)
      .subspan(begin, static_cast<std::size_t>(blocks.row_begin[row + 1]) - begin);
}

// Each block has as many references as tables and copies name it (I1); what each sequence holds
// beside others in a group with a window is accounted for.
void PlanCheck::check_references(const Core& core) {
  references_.assign(static_cast<std::size_t>(scenario_.num_blocks), 0);
  std::int32_t debt = 0;
  const auto refer = [&](std::size_t group, BlockId block) {
    if (block == kNoBlock) return;
    const std::int32_t before = references_[static_cast<std::size_t>(block)]++;
    if (before > 0 && scenario_.groups[group].window > 0) ++debt;
  };
  for (const Sequence* sequence : core.scheduler.sequences()) {
    require(sequence->num_preemptions <= scenario_.scheduler.max_preemptions, "preempted too often",
            sequence->id);
    if (sequence->blocks.num_held() == 0) continue;
    for (std::size_t g = 0; g < scenario_.groups.size(); ++g) {
      for (const BlockId block : sequence->blocks.table(g).blocks()) refer(g, block);
    }
  }
  in_tables_ = references_;
  for (const cache::BlockCopy& copy : core.cache.copies()) {
    if (copy.kind != cache::CopyKind::kCopyOnWrite) continue;
    refer(static_cast<std::size_t>(copy.group), copy.from);
  }
  std::int32_t free = 0;
  for (std::int32_t i = 0; i < scenario_.num_blocks; ++i) {
    const std::int32_t references = references_[static_cast<std::size_t>(i)];
    require(core.cache.ref_count(BlockId{i}) == references, "references are miscounted");
    if (references == 0) ++free;
  }
  const cache::CacheUsage usage = core.cache.usage();
  require(usage.shared_debt == debt, "the debt of shared window blocks is wrong");
  require(usage.free_blocks == free - usage.reserved_blocks - debt, "free blocks are miscounted");
}

// GET /pages shows what is: states, references, who holds what, and when that changed last.
void PlanCheck::check_snapshot(const Core& core) {
  const auto step = static_cast<std::uint64_t>(core.plan.step_id);
  if (step % kSnapshotEvery == 1 && !references_before_.empty()) {
    core.cache.describe(snapshot_);
    core.scheduler.describe(snapshot_);
    check_slots(core);
    require(snapshot_.step == step, "the snapshot is of another step");
    std::vector<std::int32_t> named(references_.size());
    for (const BlockId block : snapshot_.tables) ++named[static_cast<std::size_t>(block)];
    require(named == in_tables_, "the snapshot's tables are not those of the sequences");
    for (std::size_t b = 0; b < references_.size(); ++b) {
      const bool cached = core.cache.is_cached(BlockId{static_cast<std::int32_t>(b)});
      const PageState state = references_[b] > 1    ? PageState::kShared
                              : references_[b] == 1 ? PageState::kRunning
                              : cached              ? PageState::kCached
                                                    : PageState::kFree;
      require(snapshot_.states[b] == state && snapshot_.ref_counts[b] == references_[b],
              "the snapshot's states are wrong");
      const std::uint32_t changed = snapshot_.changed_at[b];
      require(changed <= step, "a page is younger than its step");
      require(references_before_[b] == references_[b] || changed + 1 >= step,
              "a page is older than its last change");
    }
  }
  references_before_ = references_;
}

// Slots of held blocks and how many hold no token, block by block.
void PlanCheck::check_slots(const Core& core) const {
  const scheduler::SlotCounts counts = core.scheduler.count_slots();
  for (std::size_t g = 0; g < scenario_.groups.size(); ++g) {
    const std::int32_t size = scenario_.groups[g].block_size;
    std::int64_t held = 0, wasted = 0;
    for (const Sequence* sequence : core.scheduler.sequences()) {
      if (sequence->blocks.num_held() == 0) continue;
      const auto blocks = sequence->blocks.table(g).blocks();
      for (std::int32_t i = 0; i < static_cast<std::int32_t>(blocks.size()); ++i) {
        if (blocks[static_cast<std::size_t>(i)] == kNoBlock) continue;
        held += size;
        wasted += size - std::clamp(sequence->num_computed_tokens - i * size, 0, size);
      }
    }
    require(counts.held[g] == held && counts.wasted[g] == wasted, "slots are miscounted");
  }
}

void PlanCheck::check_copy(Core& core, const scheduler::PageCopy& copy) {
  const auto from = static_cast<std::size_t>(copy.from), to = static_cast<std::size_t>(copy.to);
  switch (copy.kind) {
    case scheduler::CopyKind::kOut:
      core.host.written_for.at(to) = written_for_[from];
      return;
    case scheduler::CopyKind::kIn:
      // Others may share it already: they read it after this.
      require(in_tables_[to] >= 1, "pages are read for nobody");
      require(!core.cache.is_cached(copy.to), "a cached block is written");
      written_for_[to] = core.host.written_for.at(from);
      return;
    case scheduler::CopyKind::kCopyOnWrite:
      // It may be a later copy's source, which then copies what this one brought.
      require(in_tables_[to] == 1, "a copy into a shared block");
      written_for_[to] = written_for_[from];
      return;
  }
}

// What a row writes is its own alone once the copies are done (I4), and what it reads was written
// for its tenant (I14).
void PlanCheck::check_writes(Core& core, const scheduler::StepPlan& plan) {
  written_for_.resize(static_cast<std::size_t>(scenario_.num_blocks));
  for (const scheduler::PageCopy& copy : plan.copies) check_copy(core, copy);
  for (std::size_t r = 0; r < plan.rows.size(); ++r) {
    const StepRow& row = plan.rows[r];
    const CacheSalt salt = find(core, row.sequence)->salt;
    for (std::size_t g = 0; g < scenario_.groups.size(); ++g) {
      const auto blocks = blocks_of(plan, r, g);
      const std::int32_t size = scenario_.groups[g].block_size;
      for (std::int32_t i = 0; i < static_cast<std::int32_t>(blocks.size()); ++i) {
        const BlockId block = blocks[static_cast<std::size_t>(i)];
        if (block == kNoBlock) continue;
        CacheSalt& written_for = written_for_[static_cast<std::size_t>(block)];
        require(i * size >= row.first_position || written_for == salt, "another tenant's block",
                row.sequence);
        if ((i + 1) * size <= row.first_position) continue;
        require(in_tables_[static_cast<std::size_t>(block)] == 1, "a shared block is written",
                row.sequence);
        require(!core.cache.is_cached(block), "a cached block is written", row.sequence);
        written_for = salt;
      }
    }
  }
}

void PlanCheck::check_deadlines(const Core& core, scheduler::Clock::time_point now) const {
  const auto next = core.scheduler.next_deadline();
  require(!next || *next > now, "a deadline passed unheeded");
}

}  // namespace quire::sim
