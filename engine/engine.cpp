#include "engine/engine.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "engine/engine_loop.h"
#include "engine/submission.h"

namespace quire::engine {

using scheduler::Clock;

struct Engine::State {
  State(const EngineOptions& options, EngineParts parts) : loop(options, std::move(parts)) {}
  EngineLoop loop;
  std::thread thread;
};

namespace {

// Places in the queue that a request being made ready holds: given back, unless the engine thread
// takes them over with the request.
class Places final {
 public:
  explicit Places(Mailbox& mailbox) : mailbox_(mailbox) {}
  ~Places() {
    if (count_ == 0) return;
    const std::lock_guard lock(mailbox_.mutex);
    mailbox_.sequences_in_flight -= count_;
  }
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

  // Why not, where there are none.
  [[nodiscard]] std::optional<Error> take(std::int64_t count, std::int64_t most) {
    const std::lock_guard lock(mailbox_.mutex);
    if (mailbox_.draining || mailbox_.dead) return shutting_down();
    if (mailbox_.sequences_in_flight + count > most) {
      return Error{ErrorCode::kOverloaded, "The queue is full; retry later."};
    }
    mailbox_.sequences_in_flight += count;
    count_ = count;
    return std::nullopt;
  }
  void hand_over() { count_ = 0; }

  static Error shutting_down() { return {ErrorCode::kUnavailable, "The server is shutting down."}; }

 private:
  Mailbox& mailbox_;
  std::int64_t count_ = 0;
};

}  // namespace

Engine::Engine(const EngineOptions& options, EngineParts parts)
    : state_(std::make_unique<State>(options, std::move(parts))) {
  state_->loop.gauges().alive =
      true;  // before the thread: who asks at once is not told that it failed
  state_->thread = std::thread([state = state_.get()] { state->loop.run(); });
}

Engine::~Engine() { stop(); }

Result<std::unique_ptr<TokenStream>> Engine::submit(const GenerationRequest& request,
                                                    StreamListener* listener) {
  EngineLoop& loop = state_->loop;
  if (auto error = check_request(loop, request)) return *std::move(error);
  const auto count = static_cast<std::int64_t>(request.prompts.size()) * request.n;
  Mailbox& mailbox = *loop.mailbox();
  // Taken before the buffers are made, so that a flood is refused cheaply.
  Places places(mailbox);
  if (auto error = places.take(count, loop.max_in_flight())) return *std::move(error);
  Submission submission = make_submission(loop, request, listener);
  auto stream = std::make_unique<TokenStream>(submission.stream);
  const std::lock_guard lock(mailbox.mutex);
  if (mailbox.dead) return Places::shutting_down();
  loop.gauges().accepted.fetch_add(count, std::memory_order_relaxed);
  mailbox.content.submissions.push_back(std::move(submission));
  places.hand_over();
  mailbox.wake.notify_one();
  return stream;
}

EngineStatus Engine::status() const {
  const Gauges& gauges = state_->loop.gauges();
  EngineStatus status;
  status.alive = gauges.alive;
  {
    const std::lock_guard lock(state_->loop.mailbox()->mutex);
    status.draining = state_->loop.mailbox()->draining;
    status.waiting = static_cast<std::int32_t>(state_->loop.mailbox()->sequences_in_flight);
  }
  status.ready = status.alive && gauges.warm && !status.draining;
  if (!gauges.idle) {
    status.heartbeat_age =
        std::chrono::duration_cast<std::chrono::milliseconds>(gauges.heartbeat.age());
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
  status.requests_stopped = gauges.stopped;
  status.requests_aborted = gauges.aborted;
  status.requests_failed = gauges.failed;
  status.cache = gauges.cache_stats();
  status.tiers = gauges.tier_stats();
  status.host_slots_used = gauges.host_slots_used;
  if (const PageTiers* tiers = state_->loop.parts().tiers.get(); tiers != nullptr) {
    status.host_slots = tiers->host.num_slots();
    if (tiers->below != nullptr) {
      status.disk = tiers->below->disk_counts();
      status.remote = tiers->below->remote_counts();
    }
  }
  const std::size_t num_groups = state_->loop.parts().spec.groups.size();
  status.slots_held.assign(gauges.slots_held.begin(), gauges.slots_held.begin() + num_groups);
  status.slots_wasted.assign(gauges.slots_wasted.begin(), gauges.slots_wasted.begin() + num_groups);
  status.tokens_per_second = gauges.tokens_per_second;
  return status;
}

const RequestHistograms& Engine::times() const { return state_->loop.times(); }
PageWatch& Engine::pages() { return state_->loop.pages(); }
const ModelInfo& Engine::info() const { return state_->loop.parts().info; }
const Tokenizer& Engine::tokenizer() const { return *state_->loop.parts().tokenizer; }
std::int64_t Engine::max_in_flight() const { return state_->loop.max_in_flight(); }

void Engine::begin_drain() {
  const std::lock_guard lock(state_->loop.mailbox()->mutex);
  state_->loop.mailbox()->draining = true;
}

void Engine::stop() {
  {
    const std::lock_guard lock(state_->loop.mailbox()->mutex);
    state_->loop.mailbox()->draining = true;
    state_->loop.mailbox()->stopping = true;
    state_->loop.mailbox()->wake.notify_one();
  }
  if (state_->thread.joinable()) state_->thread.join();
}

void Engine::set_fatal_handler(std::function<void(const std::string&)> handler) {
  state_->loop.set_fatal_handler(std::move(handler));
}

}  // namespace quire::engine
