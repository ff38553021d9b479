// Who has a seat, tokens and blocks in a plan, and who gave way: parts of PlanCheck.

#include <algorithm>
#include <limits>
#include <map>

#include "tests/sim/plan_check.h"
#include "tests/sim/violation.h"

namespace quire::sim {

using scheduler::RunsBefore;
using scheduler::Sequence;
using scheduler::SequenceState;
using scheduler::StepRow;

bool PlanCheck::ran_before(SequenceId id) const {
  return std::binary_search(ran_before_.begin(), ran_before_.end(), id);
}

bool PlanCheck::ran_on(const Sequence& sequence) const {
  return ran_before(sequence.id) && runs(sequence) &&
         preempted_before_.at(sequence.id) == sequence.num_preemptions;
}

// The step was to preempt someone, needed or not.
bool PlanCheck::is_forced(const Core& core) const {
  const auto every = static_cast<std::uint64_t>(scenario_.scheduler.force_preempt_every);
  return every != 0 && static_cast<std::uint64_t>(core.plan.step_id) % every == 0;
}

// Tokens for prompts, once each that decodes has its own.
std::int32_t PlanCheck::prefill_limit(const Core& core) const {
  std::int32_t decoding = 0;
  for (const SequenceId id : ran_before_) {
    const Sequence* const sequence = find(core, id);
    if (sequence == nullptr || !ran_on(*sequence)) continue;
    if (sequence->num_missing_tokens() == 1) ++decoding;
  }
  const auto& options = scenario_.scheduler;
  const std::int32_t left = options.max_num_batched_tokens - decoding;
  const bool bounded = options.max_num_prefill_tokens > 0 && decoding > 0;
  return std::max(0, bounded ? std::min(left, options.max_num_prefill_tokens) : left);
}

// Of the prompts that were running, the first is more than a step has tokens for: half of these are
// for the one that can be finished soonest; where nobody else wants them, none. (One that came now
// may have been that one: PrefixCheck knows who could start.)
void PlanCheck::check_long_prompt(const Core& core) const {
  std::vector<const Sequence*> prompts;
  bool others_wait = false;
  for (const Sequence* s : core.scheduler.sequences()) {
    const bool ran = ran_before(s->id);
    if (ran && !ran_on(*s)) return;  // preempted: what was left for which is not seen from outside
    if (!ran) others_wait = true;
    if (ran && s->num_missing_tokens() > 1) prompts.push_back(s);
  }
  if (prompts.empty()) return;
  std::ranges::sort(prompts, [](auto* a, auto* b) { return RunsBefore{}(*a, *b); });
  const Sequence& first = *prompts.front();
  const StepRow* const row = row_of(core, first.id);
  const std::int32_t limit = prefill_limit(core);
  if (row == nullptr || first.num_missing_tokens() <= limit) return;
  const std::int32_t longest_chunk = scenario_.scheduler.max_chunk == 0
                                         ? std::numeric_limits<std::int32_t>::max()
                                         : scenario_.scheduler.max_chunk;
  const bool alone = prompts.size() == 1 && !others_wait;
  require(!alone || row->num_tokens >= std::min(limit, longest_chunk), "a prompt alone gets less",
          first.id);
  const auto missing = [](const Sequence* s) { return s->num_missing_tokens(); };
  const Sequence& quick = **std::ranges::min_element(prompts, {}, missing);
  if (others_wait || quick.priority > first.priority || missing(&quick) == missing(&first)) return;
  const StepRow* const other = row_of(core, quick.id);
  const std::int32_t wanted = missing(&quick) - (quick.first_follower != nullptr ? 1 : 0);
  const std::int32_t given = other == nullptr ? 0 : other->num_tokens;
  require(given >= std::min({wanted, limit / 2, longest_chunk}),
          "a long prompt holds up a short one", quick.id);
}

// Counted by what is seen, not by the sequence's own counter.
void PlanCheck::check_preempted(const Core& core) {
  for (const SequenceId id : ran_before_) {
    const Sequence* const sequence = find(core, id);
    if (sequence == nullptr || row_of(core, id) != nullptr) continue;
    if (sequence->state != SequenceState::kWaiting || sequence->paused) continue;
    require(++preemptions_[id] <= scenario_.scheduler.max_preemptions, "preempted too often", id);
    require(sequence->arrival == static_cast<std::uint64_t>(id), "lost its place", id);
    for (const Sequence* other : core.scheduler.sequences()) {
      require(!other->paused || other->state != SequenceState::kRunning,
              "preempted while one that is paused keeps its blocks", id);
    }
  }
}

// Of those that ran, the last ones gave way, and no more of them than was needed.
void PlanCheck::check_victims(const Core& core) const {
  const Sequence* foremost = nullptr;
  for (const Sequence* s : core.scheduler.sequences()) {
    if (!ran_before(s->id) || ran_on(*s) || s->paused) continue;
    if (foremost == nullptr || RunsBefore{}(*s, *foremost)) foremost = s;
  }
  if (foremost == nullptr) return;
  for (const Sequence* s : core.scheduler.sequences()) {
    const bool is_protected = s->num_preemptions >= scenario_.scheduler.max_preemptions;
    require(!ran_on(*s) || is_protected || RunsBefore{}(*s, *foremost),
            "preempted before one that comes later", foremost->id);
  }
  const bool has_windows = scenario_.groups.back().window > 0 || scenario_.groups[0].window > 0;
  if (has_windows || is_forced(core)) return;
  require(core.cache.usage().free_blocks < held_before_.at(foremost->id), "preempted in vain",
          foremost->id);
}

// Whoever has its slot decodes, as long as the step has tokens.
void PlanCheck::check_left_out(const Core& core) const {
  const auto max_tokens = static_cast<std::size_t>(scenario_.scheduler.max_num_batched_tokens);
  if (core.plan.tokens.size() == max_tokens) return;
  for (const Sequence* s : core.scheduler.sequences()) {
    if (!ran_on(*s) || s->num_missing_tokens() != 1 || row_of(core, s->id) != nullptr) continue;
    bool has_slot = true;
    for (std::size_t g = 0; g < scenario_.groups.size(); ++g) {
      const auto size = static_cast<std::size_t>(scenario_.groups[g].block_size);
      if (s->blocks.table(g).size() * size < s->tokens.size()) has_slot = false;
    }
    require(!has_slot, "left out though it has its slot", s->id);
  }
}

// A paused one lost its blocks: somebody got some. (Where blocks are shared, what it would give is
// not known before.)
void PlanCheck::check_paused(const Core& core) const {
  if (scenario_.prefix_caching || scenario_.odds.several > 0 || is_forced(core)) return;
  const Sequence* lost = nullptr;
  bool someone_gained = false;
  for (const Sequence* sequence : core.scheduler.sequences()) {
    const auto before = held_before_.find(sequence->id);
    const std::int32_t held = before == held_before_.end() ? 0 : before->second;
    if (sequence->blocks.num_held() > held) someone_gained = true;
    if (sequence->paused && sequence->blocks.num_held() < held) lost = sequence;
  }
  require(lost == nullptr || someone_gained, "a paused one gave way in vain",
          lost == nullptr ? SequenceId{} : lost->id);
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
  std::map<std::uint64_t, const Sequence*> last_admitted;  // of each tenant
  std::int32_t worst_priority = std::numeric_limits<std::int32_t>::min();
  for (const StepRow& row : core.plan.rows) {
    const Sequence* const sequence = find(core, row.sequence);
    if (ran_on(*sequence)) continue;
    const std::int32_t preempted = sequence->num_preemptions;
    if (preempted > 0 && preempted == scenario_.scheduler.max_preemptions) ++num_guaranteed_;
    const Sequence*& last = last_admitted[sequence->tenant];
    if (last == nullptr || RunsBefore{}(*last, *sequence)) last = sequence;
    worst_priority = std::max(worst_priority, sequence->priority);
  }
  // Among tenants the one that was served less may overtake; never one of a worse priority.
  for (const Sequence* sequence : core.scheduler.sequences()) {
    if (!waits(*sequence)) continue;
    require(sequence->priority >= worst_priority, "overtaken by a worse priority", sequence->id);
    const auto last = last_admitted.find(sequence->tenant);
    require(last == last_admitted.end() || RunsBefore{}(*last->second, *sequence),
            "overtaken in the queue", sequence->id);
  }
}

}  // namespace quire::sim
