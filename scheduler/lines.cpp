// The lines in which sequences stand: running, parked, waiting, or behind their leader.

#include <utility>

#include "proto/check.h"
#include "scheduler/scheduler.h"

namespace quire::scheduler {

void Scheduler::enter_line(Sequence& sequence) {
  if (sequence.state == SequenceState::kRunning) {
    (sequence.paused ? parked_ : running_).insert(sequence);
  } else if (!sequence.paused && sequence.waits_for == nullptr) {
    waiting_.push(sequence);
  }
}

void Scheduler::leave_line(Sequence& sequence) {
  if (sequence.state == SequenceState::kRunning) {
    (sequence.paused ? parked_ : running_).erase(sequence);
  } else if (!sequence.paused && sequence.waits_for == nullptr) {
    waiting_.erase(sequence);
  }
}

// Where the leader has yet to compute the prompt, the sequence is in no line until then.
void Scheduler::follow_leader(Sequence& sequence) {
  Sequence* const leader = index_.find(sequence.leader);
  if (leader == nullptr || leader == &sequence || leader->paused) return;
  CHECK_EQ(leader->num_prompt_tokens, sequence.num_prompt_tokens);
  if (leader->num_computed_tokens >= sequence.num_reusable_tokens()) return;
  sequence.waits_for = leader;
  sequence.next_follower = std::exchange(leader->first_follower, &sequence);
}

void Scheduler::stop_following(Sequence& sequence) {
  if (sequence.waits_for == nullptr) return;
  Sequence** link = &sequence.waits_for->first_follower;
  while (*link != &sequence) link = &(*link)->next_follower;
  *link = std::exchange(sequence.next_follower, nullptr);
  sequence.waits_for = nullptr;
}

void Scheduler::release_followers(Sequence& leader) {
  while (leader.first_follower != nullptr) {
    Sequence& follower = *leader.first_follower;
    stop_following(follower);
    enter_line(follower);
  }
}

}  // namespace quire::scheduler
