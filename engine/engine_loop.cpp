#include "engine/engine_loop.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <random>
#include <utility>

namespace quire::engine {
namespace {

using scheduler::Clock;
using scheduler::TokenEvent;

// The longest that one window of the output rate lasts.
constexpr std::chrono::milliseconds kRateWindow{2000};

// For what is still to be written below when the loop ends; then it is lost.
constexpr std::chrono::seconds kFlushTime{3};
// A step of fewer tokens says little of what prefilling costs.
constexpr std::size_t kLeastMeasured = 16;

cache::CacheOptions cache_options(const EngineOptions& options, std::int64_t num_blocks,
                                  const PageTiers* tiers) {
  std::random_device entropy;
  return {.num_blocks = static_cast<std::int32_t>(num_blocks),
          .enable_prefix_caching = options.enable_prefix_caching && options.use_kv_cache,
          .max_step_tokens = options.scheduler.max_num_batched_tokens,
          .hash_seed = std::uint64_t{entropy()} << 32 | entropy(),
          .num_host_slots = tiers == nullptr ? 0 : tiers->host.num_slots(),
          .tier_context = tiers == nullptr ? cache::PageKey{}.words : tiers->context.words,
          .read_policy = options.tiers.read_policy};
}

// Scheduler limits for what submit() lets in: everything in flight may wait at once (preempted).
scheduler::SchedulerOptions queue_for_all(scheduler::SchedulerOptions options) {
  options.max_queue_len += options.max_num_seqs;
  return options;
}

}  // namespace

EngineLoop::EngineLoop(const EngineOptions& options, EngineParts parts)
    : parts_(std::move(parts)),
      cache_(cache_options(options, parts_.info.num_blocks, parts_.tiers.get()), parts_.spec,
             parts_.tiers == nullptr ? nullptr : parts_.tiers->below.get()),
      scheduler_(queue_for_all(options.scheduler), cache_),
      max_in_flight_(options.scheduler.max_num_seqs + options.scheduler.max_queue_len),
      pages_([mailbox = mailbox_] {
        const std::lock_guard lock(mailbox->mutex);
        mailbox->wake.notify_one();
      }),
      streams_(static_cast<std::size_t>(max_in_flight_)),
      runs_ahead_(parts_.executor->runs_ahead()) {
  const auto most = static_cast<std::size_t>(max_in_flight_);
  mailbox_->content.reserve(most);
  inbox_.reserve(most);
  gauges_.total_blocks = cache_.usage().total_blocks;
  gauges_.free_blocks = cache_.usage().free_blocks;
  parts_.executor->set_heartbeat(&gauges_.heartbeat);
  for (scheduler::StepPlan& plan : plans_) scheduler_.reserve(plan, events_);
  const std::size_t max_samples = plans_[0].samples.capacity();
  output_.samples.reserve(max_samples);
  output_.tokens.reserve(max_samples);
  output_.top.reserve(max_samples * static_cast<std::size_t>(options.max_logprobs));
}

// No job may touch what the cache has given up.
EngineLoop::~EngineLoop() {
  if (parts_.tiers != nullptr && parts_.tiers->below != nullptr) parts_.tiers->below->stop();
}

void EngineLoop::set_fatal_handler(std::function<void(const std::string&)> handler) {
  const std::lock_guard lock(mailbox_->mutex);
  on_fatal_ = std::move(handler);
  if (failed_) on_fatal_(failure_);
}

void EngineLoop::run() {
  pthread_setname_np(pthread_self(), "quire-engine");
  try {
    warm_up();
    listen_to_tiers();
    loop();
    collect_last();
    flush_tiers();
    fail(FinishReason::kAbort);
  } catch (const std::exception& error) {
    die(error.what());
  }
  gauges_.alive = false;
}

// A step threw, and may have left the scheduler in the middle of it, or no memory for a message:
// nothing of that keeps the handler, which ends the process, from being told.
void EngineLoop::die(const char* why) {
  gauges_.alive = false;
  try {
    fail(FinishReason::kError);
  } catch (const std::exception&) {
    // What could not be ended ends with the process.
  }
  const std::lock_guard lock(mailbox_->mutex);
  failed_ = true;
  try {
    failure_ = why;
  } catch (const std::bad_alloc&) {
    failure_ = "no memory";
  }
  if (on_fatal_) on_fatal_(failure_);
}

// Generates one token, so that ready means ready: weights and first pages are in memory.
void EngineLoop::warm_up() {
  auto sequence = std::make_unique<scheduler::Sequence>();
  sequence->id = next_sequence_id();
  sequence->arrival_time = Clock::now();
  sequence->tokens.push_back(0);
  sequence->num_prompt_tokens = 1;
  sequence->params.max_tokens = 1;
  sequence->params.temperature = 0.0f;
  scheduler_.add(std::move(sequence));
  while (!scheduler_.idle()) {
    step();
    for (const TokenEvent& event : events_) {
      if (event.finish == FinishReason::kError) {
        throw StartupError("the model's first token has logits that are not finite numbers");
      }
    }
  }
  gauges_.warm = true;
}

void EngineLoop::loop() {
  rate_since_ = Clock::now();
  while (true) {
    {
      std::unique_lock lock(mailbox_->mutex);
      mailbox_->sequences_in_flight -= std::exchange(ended_, 0);
      if (mailbox_->stopping) return;
      std::swap(inbox_, mailbox_->content);
      mailbox_->tiers_report = false;
    }
    take_inbox();
    step();
    publish_pages();
    if (plan_->empty() && ended_ == 0) wait_for_work();
  }
}

// Nothing can run now: sleeps until the inbox has something, a deadline passes or a reader of the
// pool is to be told of the last change.
void EngineLoop::wait_for_work() {
  const Clock::time_point deadline = std::min(
      scheduler_.next_deadline().value_or(Clock::time_point::max()), pages_.due(gauges_.changes()));
  const auto has_work = [this] {
    return !mailbox_->content.empty() || mailbox_->stopping || pages_.wanted() ||
           mailbox_->tiers_report;
  };
  gauges_.idle = true;
  {
    std::unique_lock lock(mailbox_->mutex);
    if (deadline != Clock::time_point::max()) {
      mailbox_->wake.wait_until(lock, deadline, has_work);
    } else {
      mailbox_->wake.wait(lock, has_work);
    }
  }
  gauges_.heartbeat.beat();
  gauges_.idle = false;
  rate_since_ = Clock::now();
  rate_tokens_ = gauges_.generation_tokens;
}

void EngineLoop::take_inbox() {
  for (Submission& submission : inbox_.submissions) admit(submission);
  for (const auto& stream : inbox_.resumes) resume(*stream);
  for (const auto& stream : inbox_.cancels) cancel(*stream);
  inbox_.clear();
}

void EngineLoop::admit(Submission& submission) {
  std::int32_t choice = 0;
  for (auto& sequence : submission.sequences) {
    gauges_.prompt_tokens.fetch_add(sequence->num_prompt_tokens, std::memory_order_relaxed);
    streams_.insert(sequence->id, submission.stream, choice++,
                    {sequence->arrival_time, sequence->num_prompt_tokens});
    scheduler_.add(std::move(sequence));
  }
}

void EngineLoop::cancel(StreamState& stream) {
  for (const ChoiceBuffer& choice : stream.choices) {
    StreamTable::Entry* entry = streams_.find(choice.sequence);
    if (entry == nullptr) continue;
    scheduler_.abort(choice.sequence);
    end_sequence(entry, FinishReason::kAbort);
    const std::chrono::duration<double> waited = Clock::now() - stream.left_at;
    times_.cancel_to_free.observe(waited.count());
  }
}

void EngineLoop::resume(StreamState& stream) {
  const std::lock_guard lock(stream.mutex);
  stream.resume_posted = false;
  for (ChoiceBuffer& choice : stream.choices) {
    if (!choice.full || choice.closed()) continue;
    if (choice.full_now(stream.keep_tokens)) continue;
    choice.full = false;
    scheduler_.set_paused(choice.sequence, false, Clock::now());
  }
}

// One step's result: of the step in flight, or of one that is planned first.
void EngineLoop::step() {
  if (in_flight_ || schedule()) {
    if (runs_ahead_) {
      run_ahead();
    } else {
      execute();
    }
  }
  publish();
}

// False: nothing can run now.
bool EngineLoop::schedule() {
  events_.clear();
  scheduler_.schedule(Clock::now(), *plan_, events_);
  deliver();
  if (plan_->empty()) return false;
  note_started(*plan_);
  return true;
}

void EngineLoop::execute() {
  const Clock::time_point begin = Clock::now();
  parts_.executor->execute(*plan_, output_);
  note_cost(Clock::now() - begin);
  update(*plan_);
}

// Plans and launches the step behind the one in flight before it waits for that one.
void EngineLoop::run_ahead() {
  const Clock::time_point begin = Clock::now();
  const bool alone = !in_flight_;
  if (!in_flight_) may_be_followed_ = parts_.executor->launch(*plan_);
  in_flight_ = may_be_followed_ && scheduler_.schedule_ahead(Clock::now(), *plan_, *next_);
  if (in_flight_) {
    note_started(*next_);
    may_be_followed_ = parts_.executor->launch(*next_);
  }
  parts_.executor->collect(output_);
  if (alone && !in_flight_) note_cost(Clock::now() - begin);
  update(*plan_);
  if (in_flight_) std::swap(plan_, next_);
}

void EngineLoop::update(const scheduler::StepPlan& plan) {
  events_.clear();
  scheduler_.update(plan, output_, events_);
  deliver();
  gauges_.steps.fetch_add(1, std::memory_order_relaxed);
}

// The loop ended with a step in flight: what came out of it is told, as if it had ended before.
void EngineLoop::collect_last() {
  if (!in_flight_) return;
  parts_.executor->collect(output_);
  update(*plan_);
  in_flight_ = false;
}

// What a span costs to compute, beside what it costs to read. Of a step that had the device alone.
void EngineLoop::note_cost(Clock::duration taken) {
  if (!cache_.tiers().enabled() || plan_->tokens.size() < kLeastMeasured) return;
  const double seconds = std::chrono::duration<double>(taken).count();
  const double token = seconds / static_cast<double>(plan_->tokens.size());
  compute_seconds_ = compute_seconds_ == 0.0 ? token : 0.9 * compute_seconds_ + 0.1 * token;
  const TierStore* below = parts_.tiers->below.get();
  cache_.tiers().set_costs({.compute = compute_seconds_ * cache_.tiers().span_tokens(),
                            .read_host = parts_.tiers->seconds_per_copy,
                            .read_lower = below == nullptr ? 0.0 : below->seconds_per_read()});
}

void EngineLoop::listen_to_tiers() {
  if (!cache_.tiers().has_lower()) return;
  parts_.tiers->below->set_listener([mailbox = mailbox_] {
    const std::lock_guard lock(mailbox->mutex);
    mailbox->tiers_report = true;
    mailbox->wake.notify_one();
  });
}

// The loop ended in good order: what was computed last is written below as far as time allows.
void EngineLoop::flush_tiers() {
  if (!cache_.tiers().has_lower()) return;
  plan_->clear();
  plan_->copies.assign(cache_.copies_out().begin(), cache_.copies_out().end());
  if (!plan_->empty()) parts_.executor->execute(*plan_, output_);
  cache_.finish_copies();
  const Clock::time_point deadline = Clock::now() + kFlushTime;
  for (cache_.poll_tiers(); !cache_.tiers().is_quiet() && Clock::now() < deadline;
       cache_.poll_tiers()) {
    std::unique_lock lock(mailbox_->mutex);
    mailbox_->wake.wait_until(lock, deadline, [this] { return mailbox_->tiers_report; });
    mailbox_->tiers_report = false;
  }
  gauges_.publish(cache_.tiers());
}

// Newly admitted rows stand at the plan's end.
void EngineLoop::note_started(const scheduler::StepPlan& plan) {
  times_.step_tokens.observe(static_cast<double>(plan.tokens.size()));
  const Clock::time_point now = Clock::now();
  for (auto row = plan.rows.rbegin(); row != plan.rows.rend(); ++row) {
    StreamTable::Entry* entry = streams_.find(row->sequence);
    if (entry == nullptr) continue;
    if (entry->times.started()) return;
    entry->times.start(now, times_);
  }
}

void EngineLoop::deliver() {
  const Clock::time_point now = Clock::now();
  for (const TokenEvent& event : events_) {
    StreamTable::Entry* entry = streams_.find(event.sequence);
    if (entry == nullptr) continue;  // warm-up, or ended_ by a stop string in this very step
    if (event.token != kNoToken && !event.is_prompt) {
      gauges_.generation_tokens.fetch_add(1, std::memory_order_relaxed);
      entry->times.token(now, times_);
    }
    ChoiceReport report = entry->times.report();
    report.reused_tokens = event.reused_tokens;
    report.num_prefill_chunks = event.num_prefill_chunks;
    report.num_preemptions = event.num_preemptions;
    switch (entry->stream->push(entry->choice, event, report)) {
      case StreamState::Push::kOpen:
        break;
      case StreamState::Push::kFull:
        scheduler_.set_paused(event.sequence, true, Clock::now());
        break;
      case StreamState::Push::kStopString:
        scheduler_.finish(event.sequence);
        end_sequence(entry, entry->finish());
        break;
      case StreamState::Push::kClosed:
        end_sequence(entry, entry->finish());
        break;
    }
  }
}

void EngineLoop::end_sequence(StreamTable::Entry* entry, FinishReason finish) {
  auto& count = finish == FinishReason::kAbort   ? gauges_.aborted
                : finish == FinishReason::kError ? gauges_.failed
                                                 : gauges_.finished;
  count.fetch_add(1, std::memory_order_relaxed);
  if (finish == FinishReason::kStop) gauges_.stopped.fetch_add(1, std::memory_order_relaxed);
  entry->times.end(Clock::now(), finish, times_);
  streams_.erase(entry);
  ++ended_;
}

// The end of the loop: nothing more is taken, and everything in flight gets its final delta.
void EngineLoop::fail(FinishReason reason) {
  {
    const std::lock_guard lock(mailbox_->mutex);
    mailbox_->dead = true;
    std::swap(inbox_, mailbox_->content);
  }
  take_inbox();
  events_.clear();
  scheduler_.fail_all(reason, events_);
  deliver();
  publish();
}

void EngineLoop::publish_pages() {
  const std::uint64_t change = gauges_.changes();
  const Clock::time_point due = pages_.due(change);
  if (due == Clock::time_point::max() || Clock::now() < due) return;
  pages_.publish(change, [this](PageSnapshot& snapshot) {
    cache_.describe(snapshot);
    scheduler_.describe(snapshot);
  });
}

void EngineLoop::publish() {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const scheduler::SchedulerStats stats = scheduler_.stats();
  const Clock::time_point now = Clock::now();
  gauges_.heartbeat.beat();
  gauges_.running.store(stats.running, kRelaxed);
  gauges_.waiting.store(stats.waiting, kRelaxed);
  gauges_.preemptions.store(stats.num_preemptions, kRelaxed);
  gauges_.free_blocks.store(cache_.usage().free_blocks, kRelaxed);
  gauges_.publish(cache_.stats());
  gauges_.publish(scheduler_.count_slots());
  if (cache_.tiers().enabled()) gauges_.publish(cache_.tiers());
  if (now - rate_since_ < kRateWindow) return;
  const std::int64_t tokens = gauges_.generation_tokens.load(kRelaxed);
  const double seconds = std::chrono::duration<double>(now - rate_since_).count();
  gauges_.tokens_per_second.store(static_cast<double>(tokens - rate_tokens_) / seconds, kRelaxed);
  rate_since_ = now;
  rate_tokens_ = tokens;
}

}  // namespace quire::engine
