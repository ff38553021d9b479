// What a step's result changes: Scheduler::update.

#include <span>

#include "proto/check.h"
#include "scheduler/scheduler.h"
#include "scheduler/stopping.h"

namespace quire::scheduler {
namespace {

// In place, as row_builder.cpp says.
TokenEvent& append_event(const Sequence& sequence, const StepSample& sample,
                         const SampledToken& chosen, const StepOutput& output,
                         std::vector<TokenEvent>& events) {
  TokenEvent& event = events.emplace_back();
  event.sequence = sequence.id;
  event.is_prompt = sample.target != kNoToken;
  event.token = chosen.token;
  event.logprob = chosen.logprob;
  event.top = std::span<const TokenLogprob>(output.top)
                  .subspan(static_cast<std::size_t>(chosen.top_begin),
                           static_cast<std::size_t>(chosen.top_count));
  event.num_cached_tokens = sequence.num_cached_tokens;
  event.reused_tokens = sequence.reused_tokens;
  event.num_prefill_chunks = sequence.num_prefill_chunks;
  event.num_preemptions = sequence.num_preemptions;
  return event;
}

}  // namespace

void Scheduler::update(const StepPlan& plan, const StepOutput& output,
                       std::vector<TokenEvent>& events) {
  CHECK(plan.empty() || (num_in_flight_ > 0 && plan.step_id == oldest_in_flight()));
  CHECK(output.step_id == plan.step_id);
  CHECK_EQ(output.samples.size(), plan.samples.size());
  CHECK_EQ(output.copies_completed, static_cast<std::int32_t>(plan.copies.size()));
  // Else there may be some, which the next plan is to do: what was committed while this step ran.
  if (!plan.copies.empty()) cache_.finish_copies();
  distrust_faults(plan, output);
  std::size_t sample = 0;
  for (std::size_t row = 0; row < plan.rows.size(); ++row) {
    Sequence* const sequence = index_.find(plan.rows[row].sequence);
    // Absent: it was aborted while the step ran, or ended in the step before; what came out for it
    // is dropped. So it is where the step before chose no token and is to be done again for it.
    if (sequence != nullptr && sequence->num_computed_tokens == plan.rows[row].first_position) {
      apply_row(*sequence, plan, row, sample, output, events);
    }
    while (sample < plan.samples.size() &&
           static_cast<std::size_t>(plan.samples[sample].row) == row) {
      ++sample;
    }
  }
  CHECK_EQ(sample, plan.samples.size());
  if (!plan.empty()) --num_in_flight_;
  std::erase_if(retired_, [&](const auto& ended) { return ended->planned_in <= plan.step_id; });
}

// Where logits are not finite, entries are not: those of this step, or some that the sequence or
// others computed before. Whoever began with them would end the same way. Before anyone commits
// what it computed itself, and has it joined with these.
void Scheduler::distrust_faults(const StepPlan& plan, const StepOutput& output) {
  for (std::size_t s = 0; s < plan.samples.size(); ++s) {
    if (!output.samples[s].fault) continue;
    const StepRow& row = plan.rows[static_cast<std::size_t>(plan.samples[s].row)];
    Sequence* const sequence = index_.find(row.sequence);
    if (sequence == nullptr || sequence->num_computed_tokens != row.first_position) continue;
    cache_.distrust(sequence->blocks, {.salt = sequence->salt}, sequence->tokens);
  }
}

// `sample` is the row's first one.
void Scheduler::apply_row(Sequence& sequence, const StepPlan& plan, std::size_t row,
                          std::size_t sample, const StepOutput& output,
                          std::vector<TokenEvent>& events) {
  const auto end = [&](FinishReason finish) {
    events.push_back(ending_event(sequence, finish));
    remove(sequence, finish);
  };
  sequence.num_computed_tokens = plan.rows[row].context_len;
  for (; sample < plan.samples.size() && static_cast<std::size_t>(plan.samples[sample].row) == row;
       ++sample) {
    const StepSample& asked = plan.samples[sample];
    const SampleOutput& result = output.samples[sample];
    if (result.fault) return end(FinishReason::kError);
    CHECK_LE(result.num_tokens, 1);  // several come with speculation
    if (result.num_tokens == 0) continue;
    TokenEvent& event =
        append_event(sequence, asked, output.tokens[result.token_begin], output, events);
    if (event.is_prompt) {
      sequence.num_scored_tokens = asked.position;
      continue;
    }
    sequence.tokens.push_back(event.token);
    const Ending ending = ending_of(sequence, options_.eos_token_ids);
    event.finish = ending.finish;
    event.stop_token = ending.stop_token;
    if (ending.finish == FinishReason::kNone) continue;
    keep_computed(sequence);
    return remove(sequence, ending.finish);
  }
  // All is computed and no token came: a choice was put off, and the last token is computed once
  // more; or that was asked for (max_tokens 0).
  if (sequence.num_computed_tokens == sequence.num_tokens() && sequence.wants_output()) {
    --sequence.num_computed_tokens;
  }
  keep_computed(sequence);
  if (sequence.num_computed_tokens < sequence.num_tokens()) return;
  end(FinishReason::kLength);
}

// What is computed now stays so: others may begin with it.
void Scheduler::keep_computed(Sequence& sequence) {
  cache_.commit(sequence.blocks, {.salt = sequence.salt}, sequence.tokens,
                sequence.num_computed_tokens);
  if (sequence.num_computed_tokens >= sequence.num_prompt_tokens - 1) release_followers(sequence);
}

}  // namespace quire::scheduler
