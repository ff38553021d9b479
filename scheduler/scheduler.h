#pragma once
// Scheduler: decides what the next step computes.
//
// There is no prefill phase and no decode phase: each sequence catches up num_computed_tokens to
// num_tokens within the step's token budget, running ones first, then waiting ones by (priority,
// arrival). A sequence that gets no block preempts the running sequence that comes last, or waits.
// Pure: (state, options, now) -> StepPlan; no I/O, no thread, no clock of its own. One owner: the
// engine thread.
//
// 1. The running sequence that comes first by (priority, arrival) is never preempted.
// 2. After its max_preemptions-th preemption a sequence is readmitted only when the blocks of its
//    worst case (prompt + max_tokens) are reserved for it.
// 3. Every added sequence gets exactly one final TokenEvent (finish != kNone), unless abort() ended
//    it: then none.
// 4. What can never fit is refused by check_admission, so the head of the queue never waits for ever.
// 5. Blocks of a finished, aborted or preempted sequence are free when the call returns (no step is
//    in flight during update() today).
// 6. After construction, schedule() and update() allocate nothing; add() takes ownership of memory
//    allocated by the caller.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "cache/kv_cache_manager.h"
#include "proto/error.h"
#include "proto/types.h"
#include "scheduler/options.h"
#include "scheduler/sequence.h"
#include "scheduler/step.h"

namespace quire::scheduler {

using Clock = std::chrono::steady_clock;

struct SchedulerStats {
  std::int32_t running = 0;
  std::int32_t waiting = 0;
  std::int64_t num_preemptions = 0;  // since start
  std::int64_t num_aborted = 0;
  std::int64_t num_finished = 0;
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

  // Takes a sequence that passed check_admission. Invariant: queue_has_room() held.
  void add(std::unique_ptr<Sequence> sequence);
  [[nodiscard]] bool queue_has_room(std::int32_t num_sequences) const;

  // Ends a sequence in whatever state, frees its blocks; false if it is not (or no longer) here.
  bool abort(SequenceId id);
  // The consumer found the end (a stop string): the same as abort, counted as finished.
  bool finish(SequenceId id);
  // A paused sequence keeps its blocks but is left out of plans; others may preempt it.
  void set_paused(SequenceId id, bool paused, Clock::time_point now);

  // Plans a step into `plan` (cleared first). Empty: nothing can run now.
  // Sequences past their deadline or stalled for too long end here: their final events are appended
  // to `events` (finish kAbort).
  void schedule(Clock::time_point now, StepPlan& plan, std::vector<TokenEvent>& events);

  // Applies a step's result: appends tokens, ends and frees sequences, appends events in order.
  // Invariant: output belongs to the plan that schedule() made last.
  void update(const StepPlan& plan, const StepOutput& output, std::vector<TokenEvent>& events);

  // Ends everything (shutdown or a lost device): events with finish `reason` for each sequence.
  void fail_all(FinishReason reason, std::vector<TokenEvent>& events);

  [[nodiscard]] bool idle() const;  // nothing runs and nothing waits
  [[nodiscard]] SchedulerStats stats() const;
  // The earliest time at which schedule() could end a sequence by itself; nullopt if none.
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  // Aborts the process if an invariant is broken (tests and the simulator call it every step).
  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace quire::scheduler
