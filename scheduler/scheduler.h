#pragma once
// Scheduler: decides what the next step computes.
//
// There is no prefill phase and no decode phase: each sequence catches up num_computed_tokens to
// num_tokens within the step's token budget, running ones first, then waiting ones by (priority,
// arrival), or where several tenants wait, as fair_queue.h says. A sequence that gets no block
// preempts the running sequence that comes last, or waits. Pure: (state, options, now) -> StepPlan;
// no I/O, no thread, no clock of its own. One owner: the engine thread.
//
// 1. The running sequence that comes first by (priority, arrival) is never preempted. (A paused one
//    does not run: it is the first to give its blocks to others.)
// 2. After its max_preemptions-th preemption a sequence is readmitted only when the blocks of its
//    worst case (prompt + max_tokens) are reserved for it; then it is not preempted again.
// 3. Every added sequence gets exactly one final TokenEvent (finish != kNone), unless abort() or
//    finish() ended it: then none.
// 4. What can never fit is refused by check_admission, so the head of the queue never waits for
//    ever: as long as any sequence is not paused, every plan computes at least one token (README.md
//    has the argument; schedule() checks it).
// 5. Blocks of a finished, aborted or preempted sequence are free when the call returns, though up
//    to two steps in flight may still read and write them. What makes that safe: steps run in
//    order, each after the one before it has read and written, and a block is given out to a later
//    step.
// 6. A sequence with a leader (n > 1) starts when the leader has computed their prompt but for its
//    last token, which is then computed in one step with theirs: else it might end before they
//    share its blocks. Where the leader goes or is paused before that, the first of them leads the
//    others.
// 7. A sequence whose pages a lower tier may have waits for them outside the queue, read_timeout at
//    the most and kMaxReadRounds times; those after it go on meanwhile.
// 8. At most two steps are in flight, the later one planned by schedule_ahead(). What each sequence
//    is told is the same with and without: a row ahead of which the step before made nothing (its
//    sequence ended, or the token is to be computed again) is dropped in update(). A step with
//    copies is alone in flight; until then pages on their way out stay as they are
//    (KvCacheManager::copies_can_wait).
// 9. A prompt that is not finished in this step, the first of its priority, takes at most half of
//    the tokens for prompts while one with fewer tokens to go could take them: of those that run
//    and the head of the queue the one with the fewest. So what waits for a short prompt's first
//    token are shorter ones, not the length of a long one, which is computed at half the speed at
//    least.
// 10. After construction, no method allocates memory: the caller allocates the sequence and gives
//    it (make_room_in), the plan and the events (reserve) their capacity.
// Cost of a step: O(running + tokens + blocks of the rows), and O(log n) for each of n sequences
// that comes or goes.

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cache/kv_cache_manager.h"
#include "proto/error.h"
#include "proto/types.h"
#include "scheduler/admission.h"
#include "scheduler/fair_queue.h"
#include "scheduler/options.h"
#include "scheduler/request_queue.h"
#include "scheduler/running_list.h"
#include "scheduler/sequence.h"
#include "scheduler/sequence_index.h"
#include "scheduler/step.h"
#include "scheduler/step_budget.h"

namespace quire::scheduler {

using Clock = std::chrono::steady_clock;

// A limit may be as long as the type allows: then it never comes.
[[nodiscard]] inline Clock::time_point later(Clock::time_point time,
                                             std::chrono::milliseconds duration) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::time_point::max() - time);
  return duration < left ? time + duration : Clock::time_point::max();
}

struct SchedulerStats {
  std::int32_t running = 0;
  std::int32_t waiting = 0;
  std::int64_t num_preemptions = 0;  // since start
  std::int64_t num_aborted = 0;
  std::int64_t num_finished = 0;
  std::int32_t reading = 0;  // of those that wait: for pages from a lower tier
  std::int64_t num_read_timeouts = 0;
};

// Slots of held blocks in each group, and those of them that hold no token: a block that several
// share counts for each of them, but none that is shared has such slots.
struct SlotCounts {
  std::size_t num_groups = 0;
  std::array<std::int64_t, cache::kMaxGroups> held{}, wasted{};
};

class Scheduler final {
 public:
  // The cache outlives the scheduler.
  Scheduler(SchedulerOptions options, cache::KvCacheManager& cache);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Can a sequence of this shape ever run here? Pure over the options and the pool's size; callable
  // from any thread. The error names both numbers (prompt + max_tokens against max_model_len, or
  // against what the pool holds).
  [[nodiscard]] std::optional<Error> check_admission(std::int64_t num_prompt_tokens,
                                                     std::int64_t max_tokens) const;
  // Gives the sequence capacity for its worst case, so that nothing is allocated for it later.
  // Invariant: its prompt and max_tokens passed check_admission. Callable from any thread; add()
  // does it for those who did not.
  void make_room_in(Sequence& sequence) const;
  // Gives a plan and a list of events capacity for the largest step.
  void reserve(StepPlan& plan, std::vector<TokenEvent>& events) const;

  // Takes a sequence that passed check_admission. Invariant: queue_has_room(1) holds.
  void add(std::unique_ptr<Sequence> sequence);
  // Would this many more still be within max_queue_len?
  [[nodiscard]] bool queue_has_room(std::int32_t num_sequences) const;

  // Ends a sequence in whatever state, frees its blocks; false if it is not (or no longer) here.
  // With steps in flight it is allowed too: the rows' results are dropped.
  bool abort(SequenceId id);
  // The consumer found the end (a stop string): the same as abort, counted as finished.
  bool finish(SequenceId id);
  // Takes a sequence's blocks away, as a lack of blocks would; it goes on later. False where it
  // holds none or may not be preempted any more. Not with a step in flight.
  bool preempt(SequenceId id);
  // A paused sequence keeps its blocks but is left out of plans; others may preempt it.
  void set_paused(SequenceId id, bool paused, Clock::time_point now);

  // Plans a step into `plan` (cleared first). Empty: nothing can run now. Not with a step in
  // flight. Sequences past their deadline or stalled for too long end here: their final events are
  // appended to `events` (finish kAbort).
  void schedule(Clock::time_point now, StepPlan& plan, std::vector<TokenEvent>& events);

  // Plans the step after the only one in flight, whose output is not known: the next token of each
  // sequence of it that will have one, where the token before is sample k of it (source_sample).
  // False, and `next` is not in flight: nothing goes on, or schedule() has something to decide.
  [[nodiscard]] bool schedule_ahead(Clock::time_point now, const StepPlan& in_flight,
                                    StepPlan& next);

  // Applies a step's result: appends tokens, ends and frees sequences, appends events in order.
  // Invariant: output belongs to `plan`, the oldest that is in flight.
  void update(const StepPlan& plan, const StepOutput& output, std::vector<TokenEvent>& events);

  // Ends everything (shutdown or a lost device): events with finish `reason` for each sequence.
  void fail_all(FinishReason reason, std::vector<TokenEvent>& events);

  [[nodiscard]] bool idle() const;  // nothing runs and nothing waits
  [[nodiscard]] SchedulerStats stats() const;
  // Per group, over all sequences that hold blocks. O(running).
  [[nodiscard]] SlotCounts count_slots() const;
  // The earliest time at which schedule() could end a sequence by itself; nullopt if none.
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  // All sequences that are here, in no particular order; valid until the next call that is not
  // const.
  [[nodiscard]] std::span<const Sequence* const> sequences() const;
  // Fills the requests and their tables; gives held blocks their group.
  void describe(PageSnapshot& snapshot) const;
  // Aborts the process if an invariant is broken (tests and the simulator call it every step).
  void check_invariants() const;

 private:
  // Reads in a row before a sequence starts with what it has: what came may have been evicted
  // again.
  static constexpr std::int32_t kMaxReadRounds = 4;

  [[nodiscard]] std::size_t num_seats_taken() const { return running_.size() + parked_.size(); }
  [[nodiscard]] bool is_protected(const Sequence& sequence) const;
  [[nodiscard]] Clock::time_point expiry_of(const Sequence& sequence) const;

  // The parts of schedule().
  void end_expired(Clock::time_point now, std::vector<TokenEvent>& events);
  [[nodiscard]] StepBudget step_budget() const;
  [[nodiscard]] const Sequence* share_prefill(StepBudget& budget);
  [[nodiscard]] std::int32_t next_chunk(const Sequence& sequence, const StepBudget& budget) const;
  [[nodiscard]] bool obtain_slots(Sequence& sequence, std::int32_t num_tokens);
  void force_preemption();
  [[nodiscard]] Sequence* victim_of(const Sequence& sequence) const;
  [[nodiscard]] Sequence* admit_next(Clock::time_point now);
  [[nodiscard]] bool claim_blocks(Sequence& sequence);
  [[nodiscard]] bool may_fit(Sequence& sequence);
  void preempt(Sequence& victim);
  void plan_row(Sequence& sequence, std::int32_t num_tokens, StepBudget& budget, StepPlan& plan);
  void note_planned(Sequence& sequence, const StepPlan& plan);

  // The parts of schedule_ahead().
  [[nodiscard]] bool has_to_decide(Clock::time_point now) const;
  [[nodiscard]] bool may_admit();
  [[nodiscard]] bool obtain_slots_ahead(const StepPlan& in_flight);

  [[nodiscard]] cache::Claim claim_of(const Sequence& sequence) const;

  // The parts of update().
  void apply_row(Sequence& sequence, const StepPlan& plan, std::size_t row, std::size_t sample,
                 const StepOutput& output, std::vector<TokenEvent>& events);
  void distrust_faults(const StepPlan& plan, const StepOutput& output);
  void keep_computed(Sequence& sequence);

  // Where a sequence belongs follows from its state, paused and waits_for; leave, change them,
  // enter.
  void enter_line(Sequence& sequence);
  void leave_line(Sequence& sequence);
  void follow_leader(Sequence& sequence);
  void stop_following(Sequence& sequence);
  [[nodiscard]] bool may_read(const Sequence& sequence) const;
  [[nodiscard]] bool begin_reads(Sequence& sequence, Clock::time_point now);
  [[nodiscard]] bool has_read(const Sequence& sequence, Clock::time_point now) const;
  void end_reads(Clock::time_point now);
  void stop_reading(Sequence& sequence);
  void release_followers(Sequence& leader);
  void pass_on_followers(Sequence& leader);
  void remove(Sequence& sequence, FinishReason finish);

  void check_sequence(const Sequence& sequence) const;
  [[nodiscard]] StepId oldest_in_flight() const {
    return StepId{static_cast<std::uint64_t>(last_step_) + 1 -
                  static_cast<std::uint64_t>(num_in_flight_)};
  }

  const SchedulerOptions options_;
  cache::KvCacheManager& cache_;
  const Admission admission_;

  SequenceIndex index_;  // all, and their owner
  ExpiryQueue expiry_;   // all
  FairQueue waiting_;    // kWaiting, not paused
  RunningList running_;  // kRunning, not paused
  RunningList parked_;   // kRunning, paused: keeps its blocks and its seat while nobody needs them
  std::vector<Sequence*> reading_;  // kWaiting, and pages of theirs are being read

  StepId last_step_{};
  std::int32_t num_in_flight_ = 0;  // steps planned whose output was not seen: the last ones
  std::vector<std::unique_ptr<Sequence>> retired_;  // ended, yet a plan in flight points to them
  std::int64_t num_preemptions_ = 0;
  std::int64_t num_read_timeouts_ = 0;
  std::int64_t num_aborted_ = 0;
  std::int64_t num_finished_ = 0;
};

}  // namespace quire::scheduler
