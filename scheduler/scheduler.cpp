#include "scheduler/scheduler.h"

#include <algorithm>
#include <utility>

#include "proto/check.h"
#include "scheduler/row_builder.h"
#include "scheduler/stopping.h"

namespace quire::scheduler {
namespace {

std::size_t max_sequences(const SchedulerOptions& options) {
  CHECK_GE(options.max_num_seqs, 1);
  CHECK_GE(options.max_num_batched_tokens, 1);
  CHECK_GE(options.max_queue_len, 1);
  CHECK_GE(options.max_model_len, 1);
  CHECK_GE(options.max_preemptions, 0);
  CHECK_GE(options.max_num_prefill_tokens, 0);
  CHECK_GE(options.max_chunk, 0);
  return static_cast<std::size_t>(options.max_num_seqs) +
         static_cast<std::size_t>(options.max_queue_len);
}

}  // namespace

Scheduler::Scheduler(SchedulerOptions options, cache::KvCacheManager& cache)
    : options_(std::move(options)),
      cache_(cache),
      admission_(options_.max_model_len, cache.max_tokens()),
      index_(max_sequences(options_)),
      expiry_(index_.capacity()),
      waiting_(index_.capacity()),
      running_(static_cast<std::size_t>(options_.max_num_seqs)),
      parked_(static_cast<std::size_t>(options_.max_num_seqs)) {
  retired_.reserve(static_cast<std::size_t>(options_.max_num_seqs));
  reading_.reserve(static_cast<std::size_t>(options_.max_num_seqs));
}

Scheduler::~Scheduler() {
  cache_.finish_copies(/*done=*/false);
  while (!expiry_.empty()) remove(expiry_.front(), FinishReason::kAbort);
}

std::optional<Error> Scheduler::check_admission(std::int64_t num_prompt_tokens,
                                                std::int64_t max_tokens) const {
  return admission_.check(num_prompt_tokens, max_tokens);
}

void Scheduler::make_room_in(Sequence& sequence) const {
  const std::int64_t num_tokens = sequence.max_total_tokens();
  sequence.tokens.reserve(static_cast<std::size_t>(num_tokens));
  cache_.make_room_in(sequence.blocks, num_tokens);
}

void Scheduler::reserve(StepPlan& plan, std::vector<TokenEvent>& events) const {
  const auto max_rows = static_cast<std::size_t>(options_.max_num_seqs);
  const auto max_tokens = static_cast<std::size_t>(options_.max_num_batched_tokens);
  plan.rows.reserve(max_rows);
  plan.tokens.reserve(max_tokens);
  plan.samples.reserve(max_tokens);  // a token's hidden state is used once at most
  const auto table_size = [&](std::size_t group) {
    return static_cast<std::size_t>(cache_.table_size(group, options_.max_model_len));
  };
  plan.block_ids.reserve(max_rows * table_size(0));  // rows may share blocks
  plan.more_groups.resize(cache_.num_groups() - 1);
  for (std::size_t g = 1; g < cache_.num_groups(); ++g) {
    plan.more_groups[g - 1].block_ids.reserve(max_rows * table_size(g));
    plan.more_groups[g - 1].row_begin.reserve(max_rows + 1);
  }
  plan.copies.reserve(max_rows * cache_.max_copies() + cache_.max_tier_copies());
  // schedule() may end all of them; then update() tells each sample, and the end of each row.
  events.reserve(index_.capacity() + max_tokens + max_rows);
}

bool Scheduler::queue_has_room(std::int32_t num_sequences) const {
  const auto waiting = static_cast<std::int64_t>(index_.size() - num_seats_taken());
  return waiting + num_sequences <= options_.max_queue_len;
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  CHECK(queue_has_room(1));
  CHECK_EQ(sequence->num_tokens(), sequence->num_prompt_tokens);
  CHECK_EQ(sequence->num_computed_tokens, 0);
  CHECK(!check_admission(sequence->num_prompt_tokens, sequence->params.max_tokens));
  make_room_in(*sequence);
  Sequence& added = index_.insert(std::move(sequence));
  waiting_.join(added);
  added.state = SequenceState::kWaiting;
  added.expires_at = expiry_of(added);
  expiry_.push(added);
  follow_leader(added);
  enter_line(added);
}

bool Scheduler::abort(SequenceId id) {
  Sequence* const sequence = index_.find(id);
  if (sequence == nullptr) return false;
  remove(*sequence, FinishReason::kAbort);
  return true;
}

bool Scheduler::finish(SequenceId id) {
  Sequence* const sequence = index_.find(id);
  if (sequence == nullptr) return false;
  remove(*sequence, FinishReason::kStop);
  return true;
}

bool Scheduler::preempt(SequenceId id) {
  CHECK_EQ(num_in_flight_, 0);
  Sequence* const sequence = index_.find(id);
  if (sequence == nullptr || sequence->state != SequenceState::kRunning) return false;
  if (!sequence->paused && is_protected(*sequence)) return false;
  preempt(*sequence);
  return true;
}

void Scheduler::set_paused(SequenceId id, bool paused, Clock::time_point now) {
  Sequence* const sequence = index_.find(id);
  if (sequence == nullptr || sequence->paused == paused) return;
  leave_line(*sequence);
  expiry_.erase(*sequence);
  if (paused) pass_on_followers(*sequence);
  sequence->paused = paused;
  sequence->paused_since = now;
  sequence->expires_at = expiry_of(*sequence);
  expiry_.push(*sequence);
  enter_line(*sequence);
}

void Scheduler::schedule(Clock::time_point now, StepPlan& plan, std::vector<TokenEvent>& events) {
  CHECK_EQ(num_in_flight_, 0);
  plan.clear();
  last_step_ = StepId{static_cast<std::uint64_t>(last_step_) + 1};
  plan.step_id = last_step_;
  cache_.begin_step(last_step_);
  end_expired(now, events);
  cache_.poll_tiers();
  end_reads(now);
  force_preemption();

  // Each catches up towards its last token. Those that hold blocks come first, and a victim always
  // comes after the one that needs its block: what is planned stays planned.
  StepBudget budget = step_budget();
  const Sequence* const quick = share_prefill(budget);
  for (std::size_t i = 0; i < running_.size() && budget.tokens() > 0; ++i) {
    Sequence& sequence = running_[i];
    if (&sequence == quick) budget.open();
    const std::int32_t num_tokens = next_chunk(sequence, budget);
    if (num_tokens == 0 || !obtain_slots(sequence, num_tokens)) continue;  // it waits as it is
    plan_row(sequence, num_tokens, budget, plan);
  }
  budget.open();
  while (budget.takes_prefill()) {
    Sequence* const admitted = admit_next(now);
    if (admitted == nullptr) break;
    plan_row(*admitted, next_chunk(*admitted, budget), budget, plan);
  }
  if (!cache_.copies_can_wait()) {
    plan.copies.assign(cache_.copies_out().begin(), cache_.copies_out().end());
    plan.copies.insert(plan.copies.end(), cache_.copies().begin(), cache_.copies().end());
  }
  CHECK(!plan.rows.empty() || (running_.empty() && waiting_.empty()));  // no deadlock, ever
  num_in_flight_ = plan.empty() ? 0 : 1;
}

void Scheduler::force_preemption() {
  const auto every = static_cast<std::uint64_t>(options_.force_preempt_every);
  if (every == 0 || static_cast<std::uint64_t>(last_step_) % every != 0 || running_.empty()) return;
  Sequence* const victim = victim_of(running_[0]);
  if (victim == nullptr) return;
  preempt(*victim);
  // As if others had needed them all: else it would find its pages where they were.
  for (std::int32_t i = 0; i < cache_.usage().total_blocks; ++i) cache_.evict(BlockId{i});
}

void Scheduler::end_expired(Clock::time_point now, std::vector<TokenEvent>& events) {
  while (!expiry_.empty() && expiry_.front().expires_at <= now) {
    Sequence& sequence = expiry_.front();
    events.push_back(ending_event(sequence, FinishReason::kAbort));
    remove(sequence, FinishReason::kAbort);
  }
}

// Slots for the sequence's next tokens; preempts others for them. False: nobody may be preempted
// for it now.
bool Scheduler::obtain_slots(Sequence& sequence, std::int32_t num_tokens) {
  const std::int64_t context_len = std::int64_t{sequence.num_computed_tokens} + num_tokens;
  while (!cache_.allocate_slots(sequence.blocks, sequence.num_computed_tokens, context_len)) {
    Sequence* const victim = victim_of(sequence);
    if (victim == nullptr) return false;
    preempt(*victim);
  }
  return true;
}

// Paused ones give way first, then the last that runs, if it comes after `sequence`.
Sequence* Scheduler::victim_of(const Sequence& sequence) const {
  if (!parked_.empty()) return &parked_.back();
  const auto running = running_.items();
  for (auto last = running.rbegin(); last != running.rend() && *last != &sequence; ++last) {
    if (!is_protected(**last)) return *last;
  }
  return nullptr;
}

// Its worst case is reserved: taking its blocks away would break the promise that this was the last
// time.
bool Scheduler::is_protected(const Sequence& sequence) const {
  return sequence.num_preemptions >= options_.max_preemptions;
}

// The head of the queue, if it gets a seat and its blocks, for which paused ones give way, though
// not in vain: with all that they hold it might have enough. Nobody overtakes the head (but for
// tenants that were served less, so many times at most): else it might wait for ever for a large
// number of blocks.
Sequence* Scheduler::admit_next(Clock::time_point now) {
  while (!waiting_.empty() && begin_reads(waiting_.front(), now)) {
  }
  if (waiting_.empty()) return nullptr;
  const auto max_seats = static_cast<std::size_t>(options_.max_num_seqs);
  Sequence& head = waiting_.front();
  while (num_seats_taken() >= max_seats || !claim_blocks(head)) {
    if (parked_.empty() || !may_fit(head)) return nullptr;
    preempt(parked_.back());
  }
  waiting_.note_admitted(head);
  leave_line(head);
  head.state = SequenceState::kRunning;
  enter_line(head);
  return &head;
}

// The blocks of all its tokens at once, so that a prefill that began is never short of them; after
// the last preemption that it has to bear, those of its worst case as well. All or nothing. What
// others computed need not be computed again.
bool Scheduler::claim_blocks(Sequence& sequence) {
  const auto reused = cache_.claim(sequence.blocks, claim_of(sequence));
  if (!reused) return false;
  sequence.num_computed_tokens = *reused;
  if (sequence.num_cached_tokens < 0) {
    sequence.num_cached_tokens = *reused;
    sequence.reused_tokens = sequence.blocks.reused();
  }
  return true;
}

// It would get a seat and its blocks if those that are paused gave theirs: at most what they hold,
// which is less where they share it.
bool Scheduler::may_fit(Sequence& sequence) {
  if (running_.size() >= static_cast<std::size_t>(options_.max_num_seqs)) return false;
  std::int64_t given = 0;
  for (const Sequence* paused : parked_.items()) {
    given += paused->blocks.num_held() + paused->blocks.num_reserved();
  }
  return cache_.could_claim(sequence.blocks, claim_of(sequence), given);
}

cache::Claim Scheduler::claim_of(const Sequence& sequence) const {
  cache::Claim claim{.root = {.salt = sequence.salt},
                     .tokens = sequence.tokens,
                     .max_reused = sequence.num_reusable_tokens(),
                     .promised_tokens = is_protected(sequence) ? sequence.max_total_tokens() : 0,
                     .readmission = sequence.num_cached_tokens >= 0};
  const Sequence* const leader = index_.find(sequence.leader);
  if (leader != nullptr && leader->state == SequenceState::kRunning) {
    claim.leader = &leader->blocks;
    claim.leader_tokens = std::min(leader->num_computed_tokens, sequence.num_prompt_tokens);
  }
  return claim;
}

// Its tokens stay, prompt and output. When it is admitted again, what the tree and the tiers have
// of its pages by then is taken up, and the rest is prefilled.
void Scheduler::preempt(Sequence& victim) {
  ++num_preemptions_;
  if (!victim.paused) ++victim.num_preemptions;
  leave_line(victim);
  cache_.preempt(victim.blocks);
  victim.num_computed_tokens = 0;
  victim.read_rounds = 0;
  victim.state = SequenceState::kWaiting;
  enter_line(victim);
}

void Scheduler::plan_row(Sequence& sequence, std::int32_t num_tokens, StepBudget& budget,
                         StepPlan& plan) {
  budget.take(sequence.num_missing_tokens(), num_tokens);
  if (sequence.num_computed_tokens < sequence.num_prompt_tokens) ++sequence.num_prefill_chunks;
  append_row(sequence, num_tokens, cache_, plan);
  note_planned(sequence, plan);
}

// The plan's last row is the sequence's. Each of its positions is charged once.
void Scheduler::note_planned(Sequence& sequence, const StepPlan& plan) {
  const StepRow& row = plan.rows.back();
  const std::int32_t end = row.context_len;
  waiting_.charge(sequence, end - std::clamp(sequence.num_charged_tokens, row.first_position, end));
  sequence.num_charged_tokens = std::max(sequence.num_charged_tokens, end);
  sequence.planned_in = plan.step_id;
}

void Scheduler::fail_all(FinishReason reason, std::vector<TokenEvent>& events) {
  cache_.finish_copies(/*done=*/false);  // a step that is in flight will not be heard of again
  while (!expiry_.empty()) {
    Sequence& sequence = expiry_.front();
    events.push_back(ending_event(sequence, reason));
    remove(sequence, reason);
  }
}

void Scheduler::remove(Sequence& sequence, FinishReason finish) {
  ++(finish == FinishReason::kAbort ? num_aborted_ : num_finished_);
  leave_line(sequence);
  stop_following(sequence);
  stop_reading(sequence);
  pass_on_followers(sequence);
  expiry_.erase(sequence);
  waiting_.leave(sequence);
  cache_.free(sequence.blocks);
  sequence.state = SequenceState::kFinished;
  const bool plan_points_to_it = num_in_flight_ > 0 && sequence.planned_in >= oldest_in_flight();
  std::unique_ptr<Sequence> owned = index_.take(sequence.id);
  if (plan_points_to_it) retired_.push_back(std::move(owned));
}

Clock::time_point Scheduler::expiry_of(const Sequence& sequence) const {
  const auto deadline =
      std::min(later(sequence.arrival_time, options_.request_deadline), sequence.deadline);
  if (!sequence.paused) return deadline;
  return std::min(deadline, later(sequence.paused_since, options_.stall_timeout));
}

bool Scheduler::idle() const { return index_.size() == 0; }

SchedulerStats Scheduler::stats() const {
  return {.running = static_cast<std::int32_t>(num_seats_taken()),
          .waiting = static_cast<std::int32_t>(index_.size() - num_seats_taken()),
          .num_preemptions = num_preemptions_,
          .num_aborted = num_aborted_,
          .num_finished = num_finished_,
          .reading = static_cast<std::int32_t>(reading_.size()),
          .num_read_timeouts = num_read_timeouts_};
}

std::optional<Clock::time_point> Scheduler::next_deadline() const {
  if (expiry_.empty()) return std::nullopt;
  Clock::time_point earliest = expiry_.front().expires_at;
  for (const Sequence* sequence : reading_) {
    earliest = std::min(earliest, sequence->reads_until);
  }
  return earliest;
}

std::span<const Sequence* const> Scheduler::sequences() const { return expiry_.items(); }

}  // namespace quire::scheduler
