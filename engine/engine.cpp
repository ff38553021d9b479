#include "engine/engine.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <span>
#include <thread>
#include <utility>

#include "engine/stream_table.h"
#include "engine/token_stream_state.h"
#include "scheduler/scheduler.h"

namespace quire::engine {
namespace {

using scheduler::Clock;
using scheduler::TokenEvent;

// The longest that one window of the output rate lasts.
constexpr std::chrono::milliseconds kRateWindow{2000};

// What other threads may see of the loop. Relaxed: each is a number on its own.
struct Gauges {
  std::atomic<bool> alive{false};
  std::atomic<bool> warm{false};
  std::atomic<bool> idle{false};
  std::atomic<std::int64_t> heartbeat{0};  // steady clock, nanoseconds
  std::atomic<std::int32_t> running{0}, waiting{0}, free_blocks{0}, total_blocks{0};
  std::atomic<std::int64_t> steps{0}, preemptions{0}, prompt_tokens{0}, generation_tokens{0};
  std::atomic<std::int64_t> accepted{0}, finished{0}, aborted{0}, failed{0};
  std::atomic<double> tokens_per_second{0.0};
};

// Scheduler limits for what submit() lets in: everything in flight may wait at once (preempted).
scheduler::SchedulerOptions queue_for_all(scheduler::SchedulerOptions options) {
  options.max_queue_len += options.max_num_seqs;
  return options;
}

// A tokenizer may know more words than the model has rows for.
bool all_known(std::span<const TokenId> tokens, std::int32_t vocab_size) {
  return std::all_of(tokens.begin(), tokens.end(),
                     [vocab_size](TokenId id) { return id >= 0 && id < vocab_size; });
}

std::size_t longest(const std::vector<std::string>& strings) {
  std::size_t size = 0;
  for (const std::string& s : strings) size = std::max(size, s.size());
  return size;
}

}  // namespace

struct Engine::State {
  State(const EngineOptions& engine_options, EngineParts engine_parts)
      : options(engine_options),
        parts(std::move(engine_parts)),
        cache({.num_blocks = static_cast<std::int32_t>(parts.info.num_blocks)}, parts.spec),
        scheduler(queue_for_all(options.scheduler), cache),
        max_in_flight(options.scheduler.max_num_seqs + options.scheduler.max_queue_len),
        streams(static_cast<std::size_t>(max_in_flight)) {
    gauges.total_blocks = cache.usage().total_blocks;
    gauges.free_blocks = cache.usage().free_blocks;
    scheduler.reserve(plan, events);
    output.samples.reserve(plan.samples.capacity());
    output.tokens.reserve(plan.samples.capacity());
    output.top.reserve(plan.samples.capacity() * static_cast<std::size_t>(options.max_logprobs));
  }

  std::shared_ptr<StreamState> make_stream(const GenerationRequest& request) const;
  Submission make_submission(const GenerationRequest& request, StreamListener* listener);

  void run();
  void warm_up();
  void loop();
  void wait_for_work();
  void take_inbox();
  void admit(Submission& submission);
  void cancel(StreamState& stream);
  void resume(StreamState& stream);
  void step();
  void deliver();
  void end_sequence(StreamTable::Entry* entry, FinishReason finish);
  void fail(FinishReason reason);
  void publish();

  const EngineOptions options;
  EngineParts parts;
  cache::KvCacheManager cache;
  scheduler::Scheduler scheduler;
  const std::int64_t max_in_flight;
  std::shared_ptr<Mailbox> mailbox = std::make_shared<Mailbox>();
  std::atomic<std::uint64_t> next_id{1};
  Gauges gauges;
  std::function<void(const std::string&)> on_fatal;  // and below: under the mailbox's mutex
  std::string failure;
  std::thread thread;

  // The engine thread's own.
  Mailbox::Content inbox;
  StreamTable streams;
  scheduler::StepPlan plan;
  scheduler::StepOutput output;
  std::vector<TokenEvent> events;
  std::int64_t ended = 0;  // sequences that ended since the mailbox was last told
  Clock::time_point rate_since{};
  std::int64_t rate_tokens = 0;  // generation_tokens at rate_since
};

// ---- any thread: a request becomes sequences and a stream
// -----------------------------------------

std::shared_ptr<StreamState> Engine::State::make_stream(const GenerationRequest& request) const {
  auto stream = std::make_shared<StreamState>();
  stream->mailbox = mailbox;
  const SamplingParams& sampling = request.sampling;
  stream->keep_tokens = sampling.num_logprobs >= 0 || sampling.prompt_logprobs;
  stream->choices.reserve(request.prompts.size() * static_cast<std::size_t>(request.n));
  for (const auto& prompt : request.prompts) {
    ChoiceBuffer::Limits limits{.held = longest(request.stop)};
    const std::size_t max_text =
        (static_cast<std::size_t>(sampling.max_tokens) + 1) * parts.tokenizer->max_token_bytes();
    limits.text_bytes = std::min(kStreamTextBytes, max_text);
    if (stream->keep_tokens) {
      limits.tokens = std::min(kStreamTokens, static_cast<std::size_t>(sampling.max_tokens) + 1);
      if (sampling.prompt_logprobs) limits.tokens += prompt.size();
      limits.top = static_cast<std::size_t>(std::max(sampling.num_logprobs, 0));
    }
    for (std::int32_t i = 0; i < request.n; ++i) {
      ChoiceBuffer& choice = stream->choices.emplace_back(
          *parts.tokenizer, request.skip_special_tokens,
          StopMatcher(request.stop, request.include_stop_str_in_output), limits);
      choice.min_tokens = sampling.min_tokens;
      choice.include_stop = request.include_stop_str_in_output;
    }
  }
  return stream;
}

Submission Engine::State::make_submission(const GenerationRequest& request,
                                          StreamListener* listener) {
  Submission submission{.sequences = {}, .stream = make_stream(request)};
  submission.stream->listener = listener;
  const Clock::time_point now = Clock::now();
  std::size_t index = 0;
  for (const auto& prompt : request.prompts) {
    for (std::int32_t i = 0; i < request.n; ++i) {
      auto sequence = std::make_unique<scheduler::Sequence>();
      sequence->id = SequenceId{next_id.fetch_add(1, std::memory_order_relaxed)};
      sequence->priority = request.priority;
      sequence->arrival_time = now;
      sequence->choice = i;
      sequence->params = request.sampling;
      sequence->num_prompt_tokens = static_cast<std::int32_t>(prompt.size());
      sequence->tokens = prompt;
      scheduler.make_room_in(*sequence);
      submission.stream->choices[index++].sequence = sequence->id;
      submission.sequences.push_back(std::move(sequence));
    }
  }
  return submission;
}

Result<std::unique_ptr<TokenStream>> Engine::submit(const GenerationRequest& request,
                                                    StreamListener* listener) {
  CHECK(!request.prompts.empty() && request.n >= 1);
  for (const auto& prompt : request.prompts) {
    CHECK(!prompt.empty());
    if (!all_known(prompt, state_->parts.info.vocab_size)) {
      return Error{ErrorCode::kInvalidRequest, "The prompt holds a token that the model lacks.",
                   "prompt"};
    }
    if (auto error = state_->scheduler.check_admission(static_cast<std::int64_t>(prompt.size()),
                                                       request.sampling.max_tokens)) {
      return *std::move(error);
    }
  }
  const auto count = static_cast<std::int64_t>(request.prompts.size()) * request.n;
  Mailbox& mailbox = *state_->mailbox;
  {
    // The place is taken before the buffers are made, so that a flood is refused cheaply.
    const std::lock_guard lock(mailbox.mutex);
    if (mailbox.draining || mailbox.dead) {
      return Error{ErrorCode::kUnavailable, "The server is shutting down."};
    }
    if (mailbox.sequences_in_flight + count > state_->max_in_flight) {
      return Error{ErrorCode::kOverloaded, "The queue is full; retry later."};
    }
    mailbox.sequences_in_flight += count;
  }
  Submission submission = state_->make_submission(request, listener);
  auto stream = std::make_unique<TokenStream>(submission.stream);
  const std::lock_guard lock(mailbox.mutex);
  if (mailbox.dead) {
    mailbox.sequences_in_flight -= count;
    return Error{ErrorCode::kUnavailable, "The server is shutting down."};
  }
  state_->gauges.accepted.fetch_add(count, std::memory_order_relaxed);
  mailbox.content.submissions.push_back(std::move(submission));
  mailbox.wake.notify_one();
  return stream;
}

// ---- the engine thread
// ----------------------------------------------------------------------------

void Engine::State::run() {
  pthread_setname_np(pthread_self(), "quire-engine");
  try {
    warm_up();
    loop();
    fail(FinishReason::kAbort);
  } catch (const std::exception& error) {
    gauges.alive = false;
    fail(FinishReason::kError);
    const std::lock_guard lock(mailbox->mutex);
    failure = error.what();
    if (on_fatal) on_fatal(failure);
  }
  gauges.alive = false;
}

// Generates one token, so that ready means ready: weights and first pages are in memory.
void Engine::State::warm_up() {
  auto sequence = std::make_unique<scheduler::Sequence>();
  sequence->id = SequenceId{next_id.fetch_add(1)};
  sequence->arrival_time = Clock::now();
  sequence->tokens.push_back(0);
  sequence->num_prompt_tokens = 1;
  sequence->params.max_tokens = 1;
  sequence->params.temperature = 0.0f;
  scheduler.add(std::move(sequence));
  while (!scheduler.idle()) {
    step();
    for (const TokenEvent& event : events) {
      if (event.finish == FinishReason::kError) {
        throw StartupError("the model's first token has logits that are not finite numbers");
      }
    }
  }
  gauges.warm = true;
}

void Engine::State::loop() {
  rate_since = Clock::now();
  while (true) {
    {
      std::unique_lock lock(mailbox->mutex);
      mailbox->sequences_in_flight -= std::exchange(ended, 0);
      if (mailbox->stopping) return;
      std::swap(inbox, mailbox->content);
    }
    take_inbox();
    step();
    if (plan.empty() && ended == 0) wait_for_work();
  }
}

// Nothing can run now: sleeps until the inbox has something or a deadline passes.
void Engine::State::wait_for_work() {
  const auto deadline = scheduler.next_deadline();
  const auto has_work = [this] { return !mailbox->content.empty() || mailbox->stopping; };
  gauges.idle = true;
  {
    std::unique_lock lock(mailbox->mutex);
    if (deadline) {
      mailbox->wake.wait_until(lock, *deadline, has_work);
    } else {
      mailbox->wake.wait(lock, has_work);
    }
  }
  gauges.heartbeat.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  gauges.idle = false;
  rate_since = Clock::now();
  rate_tokens = gauges.generation_tokens;
}

void Engine::State::take_inbox() {
  for (Submission& submission : inbox.submissions) admit(submission);
  for (const auto& stream : inbox.resumes) resume(*stream);
  for (const auto& stream : inbox.cancels) cancel(*stream);
  inbox.clear();
}

void Engine::State::admit(Submission& submission) {
  std::int32_t choice = 0;
  for (auto& sequence : submission.sequences) {
    gauges.prompt_tokens.fetch_add(sequence->num_prompt_tokens, std::memory_order_relaxed);
    streams.insert(sequence->id, submission.stream, choice++);
    scheduler.add(std::move(sequence));
  }
}

void Engine::State::cancel(StreamState& stream) {
  for (const ChoiceBuffer& choice : stream.choices) {
    StreamTable::Entry* entry = streams.find(choice.sequence);
    if (entry == nullptr) continue;
    scheduler.abort(choice.sequence);
    end_sequence(entry, FinishReason::kAbort);
  }
}

void Engine::State::resume(StreamState& stream) {
  const std::lock_guard lock(stream.mutex);
  stream.resume_posted = false;
  for (ChoiceBuffer& choice : stream.choices) {
    if (!choice.full || choice.closed()) continue;
    if (choice.full_now(stream.keep_tokens)) continue;
    choice.full = false;
    scheduler.set_paused(choice.sequence, false, Clock::now());
  }
}

void Engine::State::step() {
  events.clear();
  scheduler.schedule(Clock::now(), plan, events);
  deliver();
  if (!plan.empty()) {
    parts.executor->execute(plan, output);
    events.clear();
    scheduler.update(plan, output, events);
    deliver();
    gauges.steps.fetch_add(1, std::memory_order_relaxed);
  }
  publish();
}

void Engine::State::deliver() {
  for (const TokenEvent& event : events) {
    StreamTable::Entry* entry = streams.find(event.sequence);
    if (entry == nullptr) continue;  // warm-up, or ended by a stop string in this very step
    if (event.token != kNoToken && !event.is_prompt) {
      gauges.generation_tokens.fetch_add(1, std::memory_order_relaxed);
    }
    switch (entry->stream->push(entry->choice, event)) {
      case StreamState::Push::kOpen:
        break;
      case StreamState::Push::kFull:
        scheduler.set_paused(event.sequence, true, Clock::now());
        break;
      case StreamState::Push::kStopString:
        scheduler.finish(event.sequence);
        end_sequence(entry, FinishReason::kStop);
        break;
      case StreamState::Push::kClosed:
        end_sequence(entry, event.finish);
        break;
    }
  }
}

void Engine::State::end_sequence(StreamTable::Entry* entry, FinishReason finish) {
  auto& count = finish == FinishReason::kAbort   ? gauges.aborted
                : finish == FinishReason::kError ? gauges.failed
                                                 : gauges.finished;
  count.fetch_add(1, std::memory_order_relaxed);
  streams.erase(entry);
  ++ended;
}

// The end of the loop: nothing more is taken, and everything in flight gets its final delta.
void Engine::State::fail(FinishReason reason) {
  {
    const std::lock_guard lock(mailbox->mutex);
    mailbox->dead = true;
    std::swap(inbox, mailbox->content);
  }
  take_inbox();
  events.clear();
  scheduler.fail_all(reason, events);
  deliver();
  publish();
}

void Engine::State::publish() {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const scheduler::SchedulerStats stats = scheduler.stats();
  const Clock::time_point now = Clock::now();
  gauges.heartbeat.store(now.time_since_epoch().count(), kRelaxed);
  gauges.running.store(stats.running, kRelaxed);
  gauges.waiting.store(stats.waiting, kRelaxed);
  gauges.preemptions.store(stats.num_preemptions, kRelaxed);
  gauges.free_blocks.store(cache.usage().free_blocks, kRelaxed);
  if (now - rate_since < kRateWindow) return;
  const std::int64_t tokens = gauges.generation_tokens.load(kRelaxed);
  const double seconds = std::chrono::duration<double>(now - rate_since).count();
  gauges.tokens_per_second.store(static_cast<double>(tokens - rate_tokens) / seconds, kRelaxed);
  rate_since = now;
  rate_tokens = tokens;
}

// ---- the owner
// ------------------------------------------------------------------------------------

Engine::Engine(const EngineOptions& options, EngineParts parts)
    : state_(std::make_unique<State>(options, std::move(parts))) {
  state_->gauges.alive = true;  // before the thread: who asks at once is not told that it failed
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

Engine::~Engine() { stop(); }

EngineStatus Engine::status() const {
  const Gauges& gauges = state_->gauges;
  EngineStatus status;
  status.alive = gauges.alive;
  {
    const std::lock_guard lock(state_->mailbox->mutex);
    status.draining = state_->mailbox->draining;
    status.waiting = static_cast<std::int32_t>(state_->mailbox->sequences_in_flight);
  }
  status.ready = status.alive && gauges.warm && !status.draining;
  if (!gauges.idle) {
    const Clock::time_point last{Clock::duration(gauges.heartbeat.load())};
    status.heartbeat_age =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - last);
  }
  status.running = gauges.running;
  status.waiting = std::max(0, status.waiting - status.running);
  status.free_blocks = gauges.free_blocks;
  status.total_blocks = gauges.total_blocks;
  status.num_steps = gauges.steps;
  status.num_preemptions = gauges.preemptions;
  status.prompt_tokens = gauges.prompt_tokens;
  status.generation_tokens = gauges.generation_tokens;
  status.requests_accepted = gauges.accepted;
  status.requests_finished = gauges.finished;
  status.requests_aborted = gauges.aborted;
  status.requests_failed = gauges.failed;
  status.tokens_per_second = gauges.tokens_per_second;
  return status;
}

const ModelInfo& Engine::info() const { return state_->parts.info; }
const Tokenizer& Engine::tokenizer() const { return *state_->parts.tokenizer; }

void Engine::begin_drain() {
  const std::lock_guard lock(state_->mailbox->mutex);
  state_->mailbox->draining = true;
}

void Engine::stop() {
  {
    const std::lock_guard lock(state_->mailbox->mutex);
    state_->mailbox->draining = true;
    state_->mailbox->stopping = true;
    state_->mailbox->wake.notify_one();
  }
  if (state_->thread.joinable()) state_->thread.join();
}

void Engine::set_fatal_handler(std::function<void(const std::string&)> handler) {
  const std::lock_guard lock(state_->mailbox->mutex);
  state_->on_fatal = std::move(handler);
  if (!state_->failure.empty()) state_->on_fatal(state_->failure);
}

}  // namespace quire::engine
