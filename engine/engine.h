#pragma once
// Engine: owns the one engine thread, its bounded inbox and its loop:
// inbox -> Scheduler::schedule -> StepExecutor::execute -> Scheduler::update -> TokenStreams.
//
// submit(), status() and begin_drain() may be called from any thread; the rest by the owner.
// 1. A request that submit() accepted ends: every choice of its stream gets one final delta.
// 2. The engine never waits for a reader; a reader never waits for a step to submit.
// 3. An exception from a step (device lost) fails every stream with kError, makes status().alive
//    false and calls the fatal handler once; no later request is accepted.
// 4. After warm-up the loop allocates nothing (tests/engine counts).

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/kv_cache_manager.h"
#include "engine/options.h"
#include "engine/step_executor.h"
#include "engine/tiers/page_tiers.h"
#include "engine/token_stream.h"
#include "engine/tokenizer/tokenizer.h"
#include "proto/error.h"
#include "proto/types.h"

namespace quire::engine {

// A request after parsing and encoding: prompts.size() * n sequences.
struct GenerationRequest {
  std::vector<std::vector<TokenId>> prompts;  // none empty
  std::int32_t n = 1;
  SamplingParams sampling;  // max_tokens is final here
  std::int32_t priority = 0;
  std::uint64_t tenant = 0;   // has a fair share of what is served
  CacheSalt cache_salt = {};  // pages are shared only with requests of the same
  std::vector<std::string> stop;
  bool include_stop_str_in_output = false;
  bool skip_special_tokens = true;
  // Beside the scheduler's own; what is not done by then ends with kAbort.
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
};

struct RequestHistograms;
class PageWatch;

// What the server tells clients of the model; fixed after load.
struct ModelInfo {
  std::string architecture;
  std::int32_t vocab_size = 0;
  std::int32_t max_model_len = 0;
  std::int64_t num_blocks = 0;
  std::int32_t block_size = 0;
  std::int64_t kv_bytes = 0;
  std::int64_t weight_bytes = 0;
  std::string backend;      // "cpu (avx512, 2 threads)"
  std::string fingerprint;  // system_fingerprint: a function of build, model, dtypes and device
  // From generation_config.json, where it says so.
  std::optional<float> temperature = {}, top_p = {}, min_p = {}, repetition_penalty = {};
  std::optional<std::int32_t> top_k = {};
};

// A snapshot from atomics and one short lock; never waits for a step.
struct EngineStatus {
  bool alive = false;  // the loop runs and has not failed
  bool ready = false;  // one token was generated; alive; not draining
  bool draining = false;
  std::chrono::milliseconds heartbeat_age{0};  // since the loop last moved (idle counts as moving)
  std::int32_t running = 0;
  std::int32_t waiting = 0;  // in the queue and in the inbox
  std::int32_t free_blocks = 0;
  std::int32_t total_blocks = 0;
  std::int64_t num_steps = 0;
  std::int64_t num_preemptions = 0;
  std::int64_t prompt_tokens = 0;      // computed since start
  std::int64_t generation_tokens = 0;  // since start
  std::int64_t requests_accepted = 0;  // sequences
  std::int64_t requests_finished = 0;  // sequences: stop, length
  std::int64_t requests_stopped = 0;   // of these: stop
  std::int64_t requests_aborted = 0;
  std::int64_t requests_failed = 0;
  cache::CacheStats cache;      // since start
  cache::TierStats tiers;       // since start
  TierCounts disk, remote;      // since start
  std::int32_t host_slots = 0;  // of the host tier: for so many spans
  std::int32_t host_slots_used = 0;
  // Of held blocks, in each group of layers: for so many tokens, and how many hold none.
  std::vector<std::int64_t> slots_held, slots_wasted;
  double tokens_per_second = 0.0;  // recent output rate: Retry-After
};

// The parts an engine drives; load_engine() makes real ones, tests make fakes.
struct EngineParts {
  std::unique_ptr<Tokenizer> tokenizer;
  std::shared_ptr<void> keep_alive;       // what the executor borrows; destroyed after it
  std::unique_ptr<PageTiers> tiers = {};  // null: none
  std::unique_ptr<StepExecutor> executor;
  cache::KvCacheSpec spec;
  ModelInfo info;
};

class Engine final {
 public:
  // Starts the thread and generates one token (warm-up), after which status().ready.
  Engine(const EngineOptions& options, EngineParts parts);
  ~Engine();  // stop()
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Errors: kInvalidRequest (can never fit: names both numbers), kOverloaded (queue full),
  // kUnavailable (draining or dead). listener may be null and must outlive the stream.
  [[nodiscard]] Result<std::unique_ptr<TokenStream>> submit(const GenerationRequest& request,
                                                            StreamListener* listener);
  [[nodiscard]] EngineStatus status() const;
  // How long things took, since start.
  [[nodiscard]] const RequestHistograms& times() const;
  // The pool, block by block, for those who look.
  [[nodiscard]] PageWatch& pages();
  [[nodiscard]] const ModelInfo& info() const;
  [[nodiscard]] const Tokenizer& tokenizer() const;
  // Sequences that may run and wait at once; submit() refuses one more.
  [[nodiscard]] std::int64_t max_in_flight() const;

  // No new requests from now on; those in flight go on.
  void begin_drain();
  // Ends everything still in flight (final deltas with kAbort) and joins the thread.
  void stop();
  // Called once when the loop fails, on the engine thread (or at once, by the caller, where it has
  // failed already); message for the log. It must not call the engine.
  void set_fatal_handler(std::function<void(const std::string&)> handler);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Loads tokenizer, model, backend and pool, and starts. Throws StartupError (one line naming file
// and field). `log` gets a few lines of what was planned; may be empty.
[[nodiscard]] std::unique_ptr<Engine> load_engine(
    const EngineOptions& options, const std::function<void(const std::string&)>& log);

}  // namespace quire::engine
