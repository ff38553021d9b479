// What must hold between any two calls, checked from scratch: Scheduler::check_invariants.

#include "proto/check.h"
#include "scheduler/scheduler.h"

namespace quire::scheduler {

void Scheduler::check_invariants() const {
  expiry_.check_invariants();
  waiting_.check_invariants();
  running_.check_invariants();
  parked_.check_invariants();
  CHECK_EQ(expiry_.size(), index_.size());
  CHECK_LE(num_seats_taken(), static_cast<std::size_t>(options_.max_num_seqs));

  std::size_t seats = 0, queued = 0, reading = 0;
  std::int64_t reserved_blocks = 0;
  for (const Sequence* sequence : expiry_.items()) {
    check_sequence(*sequence);
    if (sequence->state == SequenceState::kRunning) ++seats;
    if (sequence->stands_in_queue()) ++queued;
    if (sequence->reads != cache::kNoTicket) ++reading;
    reserved_blocks += sequence->blocks.num_reserved();
  }
  CHECK_EQ(seats, num_seats_taken());
  CHECK_EQ(queued, waiting_.size());
  CHECK_EQ(reading, reading_.size());
  const cache::CacheUsage usage = cache_.usage();
  CHECK_EQ(reserved_blocks, usage.reserved_blocks);
}

void Scheduler::check_sequence(const Sequence& sequence) const {
  CHECK(index_.find(sequence.id) == &sequence);
  CHECK(sequence.state != SequenceState::kFinished);
  CHECK(sequence.expires_at == expiry_of(sequence));
  CHECK_LE(sequence.num_tokens(), sequence.max_total_tokens());
  CHECK_LE(sequence.num_preemptions, options_.max_preemptions);
  if (sequence.waits_for != nullptr) {
    CHECK(sequence.state == SequenceState::kWaiting);
    CHECK(sequence.waits_for == index_.find(sequence.leader) && !sequence.waits_for->paused);
    CHECK_LT(sequence.waits_for->num_computed_tokens, sequence.num_prompt_tokens);
  }
  if (sequence.state == SequenceState::kWaiting) {
    CHECK_EQ(sequence.num_computed_tokens, 0);
    CHECK_EQ(sequence.blocks.num_held(), 0);
    CHECK_EQ(sequence.blocks.num_reserved(), 0);
    return;
  }
  CHECK_LT(sequence.num_computed_tokens, sequence.num_tokens());
  cache_.check_place(sequence.blocks, sequence.tokens, sequence.num_computed_tokens);
  for (std::size_t g = 0; g < cache_.num_groups(); ++g) {
    CHECK_GE(static_cast<std::int64_t>(sequence.blocks.table(g).size()),
             cache_.table_size(g, sequence.num_computed_tokens));
  }
  if (is_protected(sequence)) {
    CHECK_GE(sequence.blocks.num_held() + sequence.blocks.num_reserved(),
             cache_.blocks_for(sequence.max_total_tokens()));
  } else {
    CHECK_EQ(sequence.blocks.num_reserved(), 0);
  }
}

}  // namespace quire::scheduler
