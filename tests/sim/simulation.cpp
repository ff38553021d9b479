#include "tests/sim/simulation.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "tests/sim/ahead_check.h"
#include "tests/sim/core.h"
#include "tests/sim/fair_check.h"
#include "tests/sim/ledger.h"
#include "tests/sim/plan_check.h"
#include "tests/sim/prefix_check.h"
#include "tests/sim/scenario.h"
#include "tests/sim/violation.h"

namespace quire::sim {
namespace {

using std::chrono::milliseconds;

class Simulation final {
 public:
  explicit Simulation(std::uint64_t seed)
      : random_(seed),
        scenario_(draw_scenario(random_)),
        ledger_(scenario_),
        plan_check_(scenario_),
        ahead_check_(scenario_),
        prefix_check_(scenario_),
        core_(scenario_),
        fair_check_(scenario_, core_.cache.max_tokens()) {}

  Report run(std::int32_t steps) {
    for (std::int32_t i = 0; i < steps; ++i) {
      move_clock();
      arrive();
      disturb();
      step(scenario_.odds.disturb_in_flight);
    }
    end();
    count_whole_run();
    return report_;
  }

 private:
  // What clients and the world do.
  void move_clock();
  void arrive();
  [[nodiscard]] bool ask(const Request& request, std::uint64_t leader);
  void disturb();
  void abort_any();
  void count_abort(SequenceId id);
  void preempt_any();
  void evict_some();
  void measure_costs();
  void finish_any();
  void pause_any(bool paused);

  void step(std::int32_t disturb_in_flight);
  void plan();
  [[nodiscard]] bool plan_ahead();
  void disturb_in_flight(std::int32_t chance, Count counted);
  void execute(bool ahead);
  void update();
  void count_dropped();
  void spoil();
  void note_numbers();
  void tell();
  void check();
  void count_whole_run();
  void count(Count what, std::int64_t by = 1) { report_[what] += by; }
  void trace_plan(const scheduler::StepPlan& plan);
  void trace(std::uint64_t value) { report_.trace = mix(report_.trace ^ value) + 1; }

  // How it ends.
  void end();
  void drain();
  void fail_all();

  Random random_;
  const Scenario scenario_;
  Ledger ledger_;
  PlanCheck plan_check_;
  AheadCheck ahead_check_;
  PrefixCheck prefix_check_;
  Core core_;
  FairCheck fair_check_;
  scheduler::Clock::time_point now_{};
  // Preemptions and chunks of each sequence.
  std::map<SequenceId, std::pair<std::int32_t, std::int32_t>> numbers_;
  std::uint64_t last_id_ = 0;
  StepId last_step_{};
  bool in_flight_ = false;  // core_.plan
  bool executed_ = false;   // core_.output is that of core_.plan
  Report report_;
};

void Simulation::move_clock() {
  now_ += milliseconds(random_.between(1, 20));
  if (!random_.chance(scenario_.odds.clock_jump)) return;
  count(Count::kClockJumps);
  now_ += milliseconds(random_.below(700'000));
}

void Simulation::arrive() {
  std::int32_t arrivals = random_.chance(scenario_.odds.arrival) ? 1 : 0;
  if (random_.chance(scenario_.odds.burst)) {
    count(Count::kBursts);
    arrivals += random_.between(2, 20);
  }
  for (; arrivals > 0; --arrivals) {
    Request request = draw_request(scenario_, core_.cache.max_tokens(), random_);
    const std::int32_t n = random_.chance(scenario_.odds.several) ? random_.between(2, 4) : 1;
    if (n > 1) count(Count::kForked);
    std::uint64_t leader = 0;
    for (request.choice = 0; request.choice < n; ++request.choice) {
      if (ask(request, leader) && leader == 0) leader = last_id_;
    }
  }
}

bool Simulation::ask(const Request& request, std::uint64_t leader) {
  const auto prompt = static_cast<std::int64_t>(request.prompt.size());
  const std::int64_t total = prompt + request.params.max_tokens;
  const std::int64_t pool = core_.cache.max_tokens();
  const bool fits = prompt >= 1 && total <= scenario_.scheduler.max_model_len && total <= pool;
  const std::int64_t limit = std::min<std::int64_t>(scenario_.scheduler.max_model_len, pool);
  if (total >= limit - 1 && total <= limit + 1) count(Count::kAtTheLimit);
  const auto error = core_.scheduler.check_admission(prompt, request.params.max_tokens);
  require(error.has_value() == !fits, "admission is wrong");
  const std::int32_t waiting = core_.scheduler.stats().waiting;
  const bool room = core_.scheduler.queue_has_room(1);
  require(room == (waiting < scenario_.scheduler.max_queue_len), "the queue's bound is wrong");
  if (error || !room) {
    count(error ? Count::kRefusedBySize : Count::kRefusedByQueue);
    return false;
  }
  ++last_id_;
  ledger_.add(SequenceId{last_id_}, request, now_);
  core_.scheduler.add(make_sequence(request, last_id_, now_, leader));
  fair_check_.look(core_);
  return true;
}

void Simulation::disturb() {
  const Odds& odds = scenario_.odds;
  const auto act = [this](std::int32_t chance, auto&& what) {
    if (!random_.chance(chance)) return;
    what();
    fair_check_.look(core_);
  };
  act(odds.abort, [this] { abort_any(); });
  act(odds.finish, [this] { finish_any(); });
  act(odds.pause, [this] { pause_any(true); });
  act(odds.resume, [this] { pause_any(false); });
  if (!in_flight_) act(odds.preempt, [this] { preempt_any(); });
  if (random_.chance(odds.evict)) evict_some();
  if (random_.chance(odds.tier_costs)) measure_costs();
  core_.check_invariants();
}

void Simulation::abort_any() {
  // Sometimes one that is not here, or no longer.
  if (random_.chance(100)) {
    const SequenceId other{random_.next() % (last_id_ + 2)};
    const bool is_here = ledger_.contains(other);
    count_abort(other);
    require(core_.scheduler.abort(other) == is_here, "abort says otherwise", other);
    if (is_here) ledger_.abort(other);
    return;
  }
  const std::optional<SequenceId> id = ledger_.any(random_);
  if (!id) return;
  count_abort(*id);
  require(core_.scheduler.abort(*id), "abort did not find it", *id);
  ledger_.abort(*id);
}

void Simulation::count_abort(SequenceId id) {
  for (const scheduler::Sequence* sequence : core_.scheduler.sequences()) {
    if (sequence->id != id) continue;
    const bool runs = sequence->state == scheduler::SequenceState::kRunning;
    if (sequence->reads != cache::kNoTicket) count(Count::kAbortedReading);
    count(sequence->paused                 ? Count::kAbortedPaused
          : sequence->waits_for != nullptr ? Count::kAbortedFollowing
          : runs                           ? Count::kAbortedRunning
                                           : Count::kAbortedWaiting);
  }
}

void Simulation::preempt_any() {
  const std::optional<SequenceId> id = ledger_.any(random_);
  if (id && core_.scheduler.preempt(*id)) count(Count::kForcedPreemptions);
}

void Simulation::evict_some() {
  const std::int64_t before = core_.cache.stats().evictions;
  for (std::int32_t left = random_.between(1, scenario_.num_blocks); left > 0; --left) {
    core_.cache.evict(BlockId{random_.below(scenario_.num_blocks)});
  }
  count(Count::kForcedEvictions, core_.cache.stats().evictions - before);
}

void Simulation::measure_costs() {
  const auto cost = [this] { return 0.001 * random_.below(5); };
  core_.cache.tiers().set_costs({.compute = cost(), .read_host = cost(), .read_lower = cost()});
}

void Simulation::finish_any() {
  const std::optional<SequenceId> id = ledger_.any(random_);
  if (!id) return;
  count(Count::kFinishedByConsumer);
  require(core_.scheduler.finish(*id), "finish did not find it", *id);
  ledger_.finish(*id);
}

void Simulation::pause_any(bool paused) {
  const std::optional<SequenceId> id = ledger_.any(random_);
  if (!id) return;
  if (ledger_.is_paused(*id) != paused) count(paused ? Count::kPaused : Count::kResumed);
  core_.scheduler.set_paused(*id, paused, now_);
  ledger_.set_paused(*id, paused, now_);
}

// One step's result is seen: that of the step in flight, or of one that is planned first. Another
// may be in flight afterwards.
void Simulation::step(std::int32_t disturb) {
  count(Count::kSteps);
  core_.tier.tick();
  if (!in_flight_) {
    plan();
    if (core_.plan.empty()) return check();
  }
  count(Count::kRunningSteps);
  disturb_in_flight(disturb, Count::kAbortedInFlight);
  const bool ahead = random_.chance(scenario_.run_ahead) && plan_ahead();
  if (ahead) disturb_in_flight(disturb, Count::kAbortedTwiceInFlight);
  if (!executed_) execute(false);
  const bool early = ahead && random_.chance(500);
  if (early) {
    count(Count::kExecutedEarly);
    execute(true);
  }
  update();
  in_flight_ = ahead;
  executed_ = early;
  if (!ahead) return;
  std::swap(core_.plan, core_.next);
  std::swap(core_.output, core_.next_output);
  plan_check_.go_on();
}

void Simulation::plan() {
  core_.events.clear();
  plan_check_.before(core_);
  prefix_check_.before(core_);
  fair_check_.look(core_);
  note_numbers();
  core_.scheduler.schedule(now_, core_.plan, core_.events);
  tell();
  core_.check_invariants();
  plan_check_.after(core_, now_);
  fair_check_.after(core_);
  prefix_check_.after_schedule(core_);
  for (const scheduler::StepRow& row : core_.plan.rows) {
    ledger_.begin_at(row.sequence, row.first_position);
  }
  require(core_.plan.step_id > last_step_, "a step without a number of its own");
  last_step_ = core_.plan.step_id;
  trace_plan(core_.plan);
}

bool Simulation::plan_ahead() {
  ahead_check_.before(core_);
  const bool planned = core_.scheduler.schedule_ahead(now_, core_.plan, core_.next);
  core_.check_invariants();
  count(planned ? Count::kStepsAhead : Count::kNotAhead);
  if (!planned) {
    ahead_check_.after_no(core_);
    return false;
  }
  if (!core_.cache.copies_out().empty()) count(Count::kAheadOfCopies);
  if (core_.scheduler.stats().reading > 0) count(Count::kAheadOfReads);
  ahead_check_.after(core_, now_);
  prefix_check_.after_ahead(core_);
  plan_check_.after_ahead(core_);
  fair_check_.after_ahead(core_);
  last_step_ = core_.next.step_id;
  trace_plan(core_.next);
  return true;
}

void Simulation::disturb_in_flight(std::int32_t chance, Count counted) {
  if (random_.chance(chance)) {
    count(counted);
    abort_any();
    fair_check_.look(core_);
  }
  if (random_.chance(chance)) {
    pause_any(random_.chance(500));
    fair_check_.look(core_);
  }
}

void Simulation::execute(bool ahead) {
  if (ahead) {
    plan_check_.before_execution_ahead(core_);
    core_.model.execute(core_.next, core_.next_output);
  } else {
    plan_check_.before_execution(core_);
    core_.model.execute(core_.plan, core_.output);
  }
}

void Simulation::update() {
  core_.events.clear();
  count_dropped();
  spoil();
  note_numbers();
  core_.scheduler.update(core_.plan, core_.output, core_.events);
  fair_check_.look(core_);
  prefix_check_.after_update(core_);
  tell();
  check();
}

void Simulation::count_dropped() {
  for (const scheduler::StepRow& row : core_.plan.rows) {
    if (row.source_sample < 0) continue;
    const scheduler::Sequence* const found = find(core_, row.sequence);
    const bool gone = found == nullptr;
    const bool set_back = !gone && found->num_computed_tokens != row.first_position;
    if (gone || set_back) count(Count::kDroppedRows);
    if (set_back) count(Count::kSetBack);
  }
}

// Whose logits were not finite: no page that it alone holds is. (What others hold too would be
// their end as well, which is not by their rules.)
void Simulation::spoil() {
  for (std::size_t s = 0; s < core_.output.samples.size(); ++s) {
    if (!core_.output.samples[s].fault) continue;
    const auto& row = core_.plan.rows[static_cast<std::size_t>(core_.plan.samples[s].row)];
    const scheduler::Sequence* const found = find(core_, row.sequence);
    if (found == nullptr || found->num_computed_tokens != row.first_position) continue;
    for (const cache::BlockTable& table : found->blocks.tables()) {
      for (const BlockId block : table.blocks()) {
        if (block == kNoBlock || core_.cache.ref_count(block) > 1) continue;
        if (!core_.cache.is_cached(block)) continue;  // nobody will find it
        core_.model.spoil_block(block, core_.tier, found->salt);
      }
    }
    prefix_check_.distrust(*found);
  }
}

// What events are to say of their sequences.
void Simulation::note_numbers() {
  numbers_.clear();
  for (const scheduler::Sequence* s : core_.scheduler.sequences()) {
    numbers_[s->id] = {s->num_preemptions, s->num_prefill_chunks};
  }
}

void Simulation::tell() {
  for (const scheduler::TokenEvent& event : core_.events) {
    require(
        std::pair(event.num_preemptions, event.num_prefill_chunks) == numbers_.at(event.sequence),
        "preemptions or chunks are told wrong", event.sequence);
    ledger_.tell(event, now_);
    trace(static_cast<std::uint64_t>(event.sequence));
    trace(static_cast<std::uint32_t>(event.token));
    trace(static_cast<std::uint64_t>(event.finish));
    if (event.finish == FinishReason::kAbort) count(Count::kExpired);
  }
}

void Simulation::check() {
  core_.check_invariants();
  ledger_.check_counters(core_.scheduler.stats());
  const auto deadline = core_.scheduler.next_deadline();
  auto expected = ledger_.next_deadline();
  if (core_.scheduler.stats().reading > 0) {  // the reads that began last end last
    expected = std::min(*expected, now_ + scenario_.scheduler.read_timeout);
    require(deadline <= expected, "the end of a read's patience is not told");
  } else {
    require(deadline == expected, "next_deadline is wrong");
  }
  const bool idle = ledger_.num_in_flight() == 0;
  require(core_.scheduler.idle() == idle, "idle is wrong");
  const cache::CacheUsage usage = core_.cache.usage();
  require(!idle || usage.free_blocks == usage.total_blocks, "idle and blocks are not free");
}

void Simulation::trace_plan(const scheduler::StepPlan& plan) {
  for (const scheduler::StepRow& row : plan.rows) {
    trace(static_cast<std::uint64_t>(row.sequence));
    trace(static_cast<std::uint64_t>(row.first_position) << 32 |
          static_cast<std::uint64_t>(row.num_tokens));
    count(Count::kTokens, row.num_tokens);
  }
  for (const BlockId block : plan.block_ids) {
    trace(static_cast<std::uint64_t>(static_cast<std::int32_t>(block)));
  }
}

void Simulation::count_whole_run() {
  const cache::CacheStats& cache = core_.cache.stats();
  count(Count::kRequests, ledger_.num_added());
  count(Count::kGuaranteed, plan_check_.num_guaranteed());
  count(Count::kCompared, fair_check_.num_compared());
  count(Count::kPreemptions, core_.scheduler.stats().num_preemptions);
  count(Count::kModelFaults, core_.model.num_faults());
  count(Count::kPutOff, core_.model.num_put_off());
  count(Count::kPrefixHits, cache.hits);
  count(Count::kPartialHits, cache.partial_hits);
  count(Count::kForks, cache.forks);
  count(Count::kCopies, cache.copies);
  count(Count::kEvictions, cache.evictions);
  count(Count::kJoined, cache.joined_blocks);
  const cache::TierStats tiers = core_.cache.tiers().stats();
  count(Count::kHostWrites, tiers.host_writes);
  count(Count::kHostReads, tiers.host_reads);
  count(Count::kHostEvictions, tiers.host_evictions);
  count(Count::kLowerWrites, tiers.lower_writes);
  count(Count::kLowerReads, tiers.lower_reads);
  count(Count::kLowerMisses, tiers.lower_misses);
  count(Count::kSwapsOut, tiers.swaps_out);
  count(Count::kSwapsIn, tiers.swaps_in);
  count(Count::kRecomputes, tiers.recomputes);
  count(Count::kDeclined, tiers.declined);
  count(Count::kReadTimeouts, core_.scheduler.stats().num_read_timeouts);
  const TierFaults& faults = core_.tier.faults();
  count(Count::kTierRefused, faults.refused);
  count(Count::kTierFailed, faults.failed);
  count(Count::kTierDamaged, faults.damaged);
  count(Count::kTierFull, faults.full);
  count(Count::kTierLost, faults.lost);
  count(Count::kTierSlow, faults.slow);
  if (core_.cache.tiers().enabled()) count(Count::kRunsWithTiers);
  if (scenario_.num_blocks <= 8) count(Count::kSmallPool);
  if (scenario_.groups.back().window > 0) count(Count::kRunsWithWindows);
  if (scenario_.num_tenants > 1) count(Count::kRunsWithTenants);
  if (scenario_.run_ahead > 0) count(Count::kRunsAhead);
}

void Simulation::end() {
  if (in_flight_) count(Count::kEndedBetween);
  count(scenario_.ending == Ending::kDrain     ? Count::kDrained
        : scenario_.ending == Ending::kFailAll ? Count::kFailedAll
                                               : Count::kDestroyed);
  switch (scenario_.ending) {
    case Ending::kDrain:
      return drain();
    case Ending::kFailAll:
      return fail_all();
    case Ending::kDestroy:
      return;  // the cache's destructor proves that the scheduler's gave all blocks back
  }
}

// The faults have stopped and time stands still: all come to their own end, and soon.
void Simulation::drain() {
  core_.model.stop_putting_off();
  core_.tier.settle();
  for (const SequenceId id : ledger_.in_flight()) {
    core_.scheduler.set_paused(id, false, now_);
    ledger_.set_paused(id, false, now_);
    fair_check_.look(core_);
  }
  // A step may do no more than end a read, and each start reads a few times.
  for (std::int64_t left = 6 * ledger_.work_left() + 8; in_flight_ || !core_.scheduler.idle();
       --left) {
    require(left > 0, "no end within the bound: livelock");
    step(0);
  }
}

void Simulation::fail_all() {
  core_.events.clear();
  note_numbers();
  core_.scheduler.fail_all(FinishReason::kAbort, core_.events);
  now_ = scheduler::Clock::time_point::max();  // an abort is right at any time now
  tell();
  check();
}

constexpr const char* kNames[] = {"steps",
                                  "steps with a running sequence",
                                  "tokens computed",
                                  "steps planned ahead",
                                  "steps not planned ahead",
                                  "steps ahead while pages wait to go out",
                                  "steps ahead while pages are read",
                                  "steps ahead computed early",
                                  "rows ahead that were dropped",
                                  "rows ahead of a choice put off",
                                  "aborts with two steps in flight",
                                  "endings with a step in flight",
                                  "requests",
                                  "refused by size",
                                  "refused by the queue",
                                  "sizes at the limit or one off",
                                  "pools of 1 to 8 blocks",
                                  "bursts",
                                  "requests with n > 1",
                                  "aborts while waiting",
                                  "aborts while the leader computes",
                                  "aborts while running",
                                  "aborts while the reader stalls",
                                  "aborts with a step in flight",
                                  "ends by the consumer",
                                  "readers that stall",
                                  "readers that go on",
                                  "deadlines and stalls that ended one",
                                  "clock jumps",
                                  "forced preemptions",
                                  "forced evictions",
                                  "preemptions",
                                  "readmissions with a promise",
                                  "rows that are not finite",
                                  "choices put off",
                                  "drains",
                                  "devices lost",
                                  "schedulers destroyed",
                                  "prefix hits",
                                  "partial hits",
                                  "forks",
                                  "pages copied",
                                  "pages evicted",
                                  "pages computed twice and joined",
                                  "spans copied to host memory",
                                  "spans copied from host memory",
                                  "spans evicted from host memory",
                                  "spans written below",
                                  "spans read from below",
                                  "spans not found below",
                                  "preemptions with pages in a tier",
                                  "readmissions that read pages back",
                                  "readmissions that compute again",
                                  "reads that would have cost more",
                                  "reads that were too late",
                                  "aborts while pages are read",
                                  "tier jobs refused",
                                  "tier reads failed",
                                  "tier records damaged",
                                  "tier writes without room",
                                  "tier records lost",
                                  "tier jobs that are slow",
                                  "runs with tiers",
                                  "runs with windows",
                                  "runs with several tenants",
                                  "runs that go ahead",
                                  "tenants that waited, compared"};

}  // namespace

const char* name_of(Count count) {
  static_assert(std::size(kNames) == static_cast<std::size_t>(Count::kNumCounts));
  return kNames[static_cast<std::size_t>(count)];
}

Report simulate(std::uint64_t seed, std::int32_t steps) { return Simulation(seed).run(steps); }

}  // namespace quire::sim
