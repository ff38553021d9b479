// How many tokens of prompts a step takes, and whose: parts of Scheduler::schedule.

#include <algorithm>

#include "scheduler/scheduler.h"

namespace quire::scheduler {

// Chunks are bounded for the sake of those that decode: where nobody does they may have it all.
StepBudget Scheduler::step_budget() const {
  const std::int32_t tokens = options_.max_num_batched_tokens;
  if (options_.max_num_prefill_tokens == 0) return {tokens, tokens};
  const auto running = running_.items();
  const auto decodes = [](const Sequence* s) { return s->num_missing_tokens() == 1; };
  const bool anyone_decodes = std::any_of(running.begin(), running.end(), decodes);
  return {tokens, anyone_decodes ? options_.max_num_prefill_tokens : tokens};
}

// Sets tokens aside for the prompt that can be finished soonest beside a long one, and says which:
// one that runs, or the head of the queue. Where the first prompt is finished in this step, or is
// the shortest itself, it has what it needs.
const Sequence* Scheduler::share_prefill(StepBudget& budget) {
  const Sequence* first = nullptr;
  const Sequence* quick = nullptr;
  std::int32_t num_decoding = 0;
  const auto consider = [&](const Sequence& s) {
    const Sequence& best = quick == nullptr ? *first : *quick;
    if (s.priority <= first->priority && s.num_missing_tokens() < best.num_missing_tokens()) {
      quick = &s;
    }
  };
  for (const Sequence* s : running_.items()) {
    if (s->num_missing_tokens() == 1) {
      ++num_decoding;
    } else if (first == nullptr) {
      first = s;
    } else {
      consider(*s);
    }
  }
  const std::int32_t left = budget.prefill_beside(num_decoding);
  if (first == nullptr || first->num_missing_tokens() <= left || left < 2) return nullptr;
  if (!waiting_.empty() && may_fit(waiting_.front())) consider(waiting_.front());
  if (quick != nullptr) budget.share(left, std::min(quick->num_missing_tokens(), left / 2));
  return quick;
}

std::int32_t Scheduler::next_chunk(const Sequence& sequence, const StepBudget& budget) const {
  std::int32_t chunk = budget.chunk(sequence.num_missing_tokens());
  // What it computes is shared from there on.
  if (sequence.first_follower != nullptr) {
    chunk = std::min(chunk, std::max(1, sequence.num_missing_tokens() - 1));
  }
  return options_.max_chunk > 0 ? std::min(chunk, options_.max_chunk) : chunk;
}

}  // namespace quire::scheduler
