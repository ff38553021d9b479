// The lines in which sequences stand: running, parked, waiting, behind their leader, or until their
// pages have been read.

#include <utility>

#include "proto/check.h"
#include "scheduler/scheduler.h"

namespace quire::scheduler {

void Scheduler::enter_line(Sequence& sequence) {
  if (sequence.state == SequenceState::kRunning) {
    (sequence.paused ? parked_ : running_).insert(sequence);
  } else if (sequence.stands_in_queue()) {
    waiting_.push(sequence);
  }
}

void Scheduler::leave_line(Sequence& sequence) {
  if (sequence.state == SequenceState::kRunning) {
    (sequence.paused ? parked_ : running_).erase(sequence);
  } else if (sequence.stands_in_queue()) {
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

// There is a seat, and a lower tier may have pages of it that were not asked for too often.
bool Scheduler::may_read(const Sequence& sequence) const {
  const auto max_seats = static_cast<std::size_t>(options_.max_num_seqs);
  return num_seats_taken() < max_seats && reading_.size() < max_seats &&
         cache_.tiers().has_lower() && sequence.read_rounds < kMaxReadRounds;
}

// It goes on without them, or not at all: the first of them that can computes their prompt for the
// others. Those that could do nothing but wait for it would each compute it else.
void Scheduler::pass_on_followers(Sequence& leader) {
  Sequence* heir = nullptr;
  for (Sequence* f = leader.first_follower; f != nullptr; f = f->next_follower) {
    if (!f->paused && (heir == nullptr || RunsBefore{}(*f, *heir))) heir = f;
  }
  if (heir == nullptr) return release_followers(leader);
  stop_following(*heir);
  CHECK(heir->first_follower == nullptr);
  heir->first_follower = std::exchange(leader.first_follower, nullptr);
  for (Sequence* f = heir->first_follower; f != nullptr; f = f->next_follower) {
    f->leader = heir->id;
    f->waits_for = heir;
  }
  enter_line(*heir);
}

// The head of the queue steps aside while what a lower tier has of it is read; others go on. False:
// there is nothing to wait for.
bool Scheduler::begin_reads(Sequence& sequence, Clock::time_point now) {
  if (!may_read(sequence)) return false;
  ++sequence.read_rounds;
  const cache::ReadTicket ticket = cache_.start_reads(sequence.blocks, claim_of(sequence));
  if (ticket == cache::kNoTicket) {
    sequence.read_rounds = kMaxReadRounds;  // asked once, not before each step
    return false;
  }
  leave_line(sequence);
  sequence.reads = ticket;
  sequence.reads_until = later(now, options_.read_timeout);
  reading_.push_back(&sequence);
  return true;
}

// Its pages have come, or have not come in time.
bool Scheduler::has_read(const Sequence& sequence, Clock::time_point now) const {
  return !cache_.is_reading(sequence.reads) || sequence.reads_until <= now;
}

// Those are back in the queue.
void Scheduler::end_reads(Clock::time_point now) {
  std::erase_if(reading_, [&](Sequence* sequence) {
    if (!has_read(*sequence, now)) return false;
    if (sequence->reads_until <= now) {
      ++num_read_timeouts_;
      sequence->read_rounds = kMaxReadRounds;
    }
    sequence->reads = cache::kNoTicket;
    enter_line(*sequence);
    return true;
  });
}

// What is still on its way is for whoever asks next.
void Scheduler::stop_reading(Sequence& sequence) {
  if (sequence.reads == cache::kNoTicket) return;
  std::erase(reading_, &sequence);
  sequence.reads = cache::kNoTicket;
}

}  // namespace quire::scheduler
