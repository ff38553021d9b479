#pragma once
// Rig: a scheduler with its cache and a model that answers each sample with a token of the test's
// choice. Time stands still until the test moves it. Invariants are checked after every call.

#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "cache/kv_cache_manager.h"
#include "scheduler/scheduler.h"

namespace quire::scheduler {

inline constexpr TokenId kEos = 1;

inline cache::KvCacheSpec test_spec(std::int32_t block_size) {
  return {
      .groups = {{.num_layers = 1, .num_kv_heads = 1, .head_dim = 8, .block_size = block_size}}};
}

// What a test says of its scheduler; small numbers by default.
struct RigOptions {
  std::int32_t num_blocks = 64;
  std::int32_t block_size = 4;
  // Off: most tests ask who gets which blocks, and all their prompts begin alike.
  bool enable_prefix_caching = false;
  std::int32_t num_host_slots = 0;
  SchedulerOptions scheduler = {.max_num_seqs = 8,
                                .max_num_batched_tokens = 64,
                                .max_queue_len = 64,
                                .max_model_len = 128,
                                .eos_token_ids = {kEos}};
};

struct NewSequence {
  std::uint64_t id = 0;
  std::int32_t prompt = 4;  // tokens
  std::int32_t max_tokens = 4;
  std::int32_t priority = 0;
};

class Rig final {
 public:
  explicit Rig(RigOptions options = {})
      : cache({.num_blocks = options.num_blocks,
               .enable_prefix_caching = options.enable_prefix_caching,
               .num_host_slots = options.num_host_slots},
              test_spec(options.block_size)),
        scheduler(options.scheduler, cache) {
    scheduler.reserve(plan, events);
    scheduler.reserve(next, events);
  }

  // Its prompt is 100, 101, ...; `change` sets what else the test wants.
  static std::unique_ptr<Sequence> make(
      const NewSequence& wanted, const std::function<void(Sequence&)>& change = [](Sequence&) {}) {
    auto sequence = std::make_unique<Sequence>();
    sequence->id = SequenceId{wanted.id};
    sequence->arrival = wanted.id;
    sequence->priority = wanted.priority;
    sequence->params.max_tokens = wanted.max_tokens;
    sequence->num_prompt_tokens = wanted.prompt;
    for (std::int32_t i = 0; i < wanted.prompt; ++i) sequence->tokens.push_back(100 + i);
    change(*sequence);
    return sequence;
  }

  void add(
      const NewSequence& wanted, const std::function<void(Sequence&)>& change = [](Sequence&) {}) {
    auto sequence = make(wanted, change);
    sequence->arrival_time = now;
    scheduler.add(std::move(sequence));
    check();
  }

  const StepPlan& schedule() {
    events.clear();
    scheduler.schedule(now, plan, events);
    check();
    return plan;
  }

  // Plans `next` behind `plan`, which is in flight.
  bool schedule_ahead() {
    const bool planned = scheduler.schedule_ahead(now, plan, next);
    check();
    return planned;
  }

  // Answers the plan, and `next` takes its place; `events` is what is told.
  void update_and_go_on() {
    events.clear();
    update();
    std::swap(plan, next);
  }

  // Answers the plan; `events` gains what is told.
  void update() {
    output.clear();
    output.step_id = plan.step_id;
    for (const StepSample& sample : plan.samples) {
      SampleOutput result{.token_begin = static_cast<std::int32_t>(output.tokens.size()),
                          .num_tokens = 1};
      const SequenceId id = plan.rows[sample.row].sequence;
      result.fault = fault(id, sample);
      if (puts_off(id, sample)) result.num_tokens = 0;
      const TokenId token = sample.target != kNoToken ? sample.target : answer(id, sample);
      output.tokens.push_back({.token = token, .logprob = -static_cast<float>(sample.position)});
      output.samples.push_back(result);
    }
    output.copies_completed = static_cast<std::int32_t>(plan.copies.size());
    scheduler.update(plan, output, events);
    check();
    if (scheduler.idle()) check_all_free();
  }

  // One whole step; returns its events.
  const std::vector<TokenEvent>& step() {
    schedule();
    update();
    return events;
  }

  // Steps until nothing is left; all events in order.
  std::vector<TokenEvent> run() {
    std::vector<TokenEvent> all;
    for (int i = 0; i < 10'000 && !scheduler.idle(); ++i) {
      const auto& told = step();
      all.insert(all.end(), told.begin(), told.end());
    }
    return all;
  }

  // The row of a sequence in the last plan, or nullptr.
  [[nodiscard]] const StepRow* row_of(std::uint64_t id) const {
    for (const StepRow& row : plan.rows) {
      if (row.sequence == SequenceId{id}) return &row;
    }
    return nullptr;
  }

  void check() const {
    scheduler.check_invariants();
    cache.check_invariants();
  }

  std::function<TokenId(SequenceId, const StepSample&)> answer =
      [](SequenceId, const StepSample& sample) { return 1000 + sample.position; };
  std::function<bool(SequenceId, const StepSample&)> fault = [](SequenceId, const StepSample&) {
    return false;
  };
  std::function<bool(SequenceId, const StepSample&)> puts_off = [](SequenceId, const StepSample&) {
    return false;
  };

  cache::KvCacheManager cache;
  Scheduler scheduler;
  Clock::time_point now{};
  StepPlan plan;
  StepPlan next;  // planned ahead
  StepOutput output;
  std::vector<TokenEvent> events;

 private:
  void check_all_free() const {
    const cache::CacheUsage usage = cache.usage();
    if (usage.free_blocks != usage.total_blocks) std::abort();
  }
};

// The output tokens of one sequence.
inline std::vector<TokenId> tokens_of(const std::vector<TokenEvent>& events, std::uint64_t id) {
  std::vector<TokenId> tokens;
  for (const TokenEvent& event : events) {
    const bool is_output = !event.is_prompt && event.token != kNoToken;
    if (event.sequence == SequenceId{id} && is_output) tokens.push_back(event.token);
  }
  return tokens;
}

inline std::vector<FinishReason> finishes_of(const std::vector<TokenEvent>& events,
                                             std::uint64_t id) {
  std::vector<FinishReason> finishes;
  for (const TokenEvent& event : events) {
    if (event.sequence == SequenceId{id} && event.finish != FinishReason::kNone) {
      finishes.push_back(event.finish);
    }
  }
  return finishes;
}

}  // namespace quire::scheduler
