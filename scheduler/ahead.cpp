// A step planned while the one before it runs: Scheduler::schedule_ahead.
//
// It decides nothing: it goes on with what runs, and says no where schedule() has something to
// decide. So who is admitted, preempted, ended or waited for is settled there alone. It copies
// nothing either: a step with copies is alone, and pages on their way out wait for one while they
// can.

#include <algorithm>

#include "proto/check.h"
#include "scheduler/row_builder.h"
#include "scheduler/scheduler.h"

namespace quire::scheduler {
namespace {

// Its sampler reads the tokens so far, of which the newest is not on the host yet.
bool reads_history(const SamplingParams& params) {
  return params.repetition_penalty != 1.0f || params.presence_penalty != 0.0f ||
         params.frequency_penalty != 0.0f;
}

// Each row chooses one token after its last: sample r is row r's.
bool is_one_choice_each(const StepPlan& plan) {
  if (plan.samples.size() != plan.rows.size()) return false;
  for (std::size_t r = 0; r < plan.rows.size(); ++r) {
    const StepSample& sample = plan.samples[r];
    if (static_cast<std::size_t>(sample.row) != r || sample.target != kNoToken) return false;
  }
  return true;
}

// The token in flight is its last, whatever it is.
bool ends_by_length(const Sequence& sequence) {
  return sequence.num_output_tokens() + 1 >= sequence.params.max_tokens;
}

}  // namespace

bool Scheduler::schedule_ahead(Clock::time_point now, const StepPlan& in_flight, StepPlan& next) {
  CHECK_EQ(num_in_flight_, 1);
  CHECK(in_flight.step_id == last_step_);
  next.clear();
  cache_.poll_tiers();
  if (has_to_decide(now) || !is_one_choice_each(in_flight)) return false;
  if (!obtain_slots_ahead(in_flight) || !cache_.copies_can_wait() || may_admit()) return false;
  next.step_id = StepId{static_cast<std::uint64_t>(last_step_) + 1};
  for (std::size_t r = 0; r < in_flight.rows.size(); ++r) {
    Sequence* const sequence = index_.find(in_flight.rows[r].sequence);
    if (sequence == nullptr || sequence->paused || ends_by_length(*sequence)) continue;
    append_row_ahead(*sequence, static_cast<std::int32_t>(r), cache_, next);
    note_planned(*sequence, next);
  }
  if (next.rows.empty()) return false;
  last_step_ = next.step_id;
  cache_.begin_step(last_step_);
  ++num_in_flight_;
  return true;
}

// Someone has to go, or is to be looked after.
bool Scheduler::has_to_decide(Clock::time_point now) const {
  const auto every = static_cast<std::uint64_t>(options_.force_preempt_every);
  if (every != 0 && (static_cast<std::uint64_t>(last_step_) + 1) % every == 0) return true;
  if (!expiry_.empty() && expiry_.front().expires_at <= now) return true;
  return std::ranges::any_of(reading_, [&](const Sequence* s) { return has_read(*s, now); });
}

// Whoever waits would be seated, or its pages read. Asked anew each time: blocks come free, and
// what those that run have computed since makes it need fewer.
bool Scheduler::may_admit() {
  if (waiting_.empty()) return false;
  Sequence& head = waiting_.front();
  return may_fit(head) || may_read(head);
}

// Slots for the token after the one in flight, for all that run; nobody is preempted for them.
// False: there are none, or one of those that run has no such token: it was resumed, it is to
// compute the last one again, or it got no slot in the step in flight. What a window no longer
// needs is kept: the step in flight may have to be done again.
bool Scheduler::obtain_slots_ahead(const StepPlan& in_flight) {
  std::size_t num_running = 0;
  for (const StepRow& row : in_flight.rows) {
    Sequence* const sequence = index_.find(row.sequence);
    if (sequence == nullptr || sequence->paused) continue;
    ++num_running;
    if (row.first_position != sequence->num_computed_tokens) return false;
    if (ends_by_length(*sequence)) continue;
    if (reads_history(sequence->params)) return false;
    const std::int64_t context_len = std::int64_t{row.context_len} + 1;
    if (!cache_.allocate_slots(sequence->blocks, row.first_position, context_len)) return false;
  }
  return num_running == running_.size();
}

}  // namespace quire::scheduler
