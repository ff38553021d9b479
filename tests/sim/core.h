#pragma once
// Core: scheduler, cache and fake model put together, with the values that pass between them. The
// same for the run under test and for the uncontended one.

#include <memory>
#include <utility>
#include <vector>

#include "cache/kv_cache_manager.h"
#include "scheduler/scheduler.h"
#include "tests/sim/fake_model.h"
#include "tests/sim/scenario.h"

namespace quire::sim {

struct Core {
  explicit Core(const Scenario& scenario)
      : cache({.num_blocks = scenario.num_blocks},
              {.groups = {{.num_layers = 1,
                           .num_kv_heads = 1,
                           .head_dim = 8,
                           .block_size = scenario.block_size}}}),
        scheduler(scenario.scheduler, cache),
        model(scenario) {
    scheduler.reserve(plan, events);
  }

  void check_invariants() const {
    cache.check_invariants();
    scheduler.check_invariants();
  }

  cache::KvCacheManager cache;
  scheduler::Scheduler scheduler;
  FakeModel model;
  scheduler::StepPlan plan;
  scheduler::StepOutput output;
  std::vector<scheduler::TokenEvent> events;
};

// A sequence of this request; ids and arrival are drawn from one counter.
[[nodiscard]] inline std::unique_ptr<scheduler::Sequence> make_sequence(
    const Request& request, std::uint64_t number, scheduler::Clock::time_point now) {
  auto sequence = std::make_unique<scheduler::Sequence>();
  sequence->id = SequenceId{number};
  sequence->arrival = number;
  sequence->arrival_time = now;
  sequence->priority = request.priority;
  sequence->choice = request.choice;
  sequence->params = request.params;
  sequence->tokens = request.prompt;
  sequence->num_prompt_tokens = static_cast<std::int32_t>(request.prompt.size());
  return sequence;
}

}  // namespace quire::sim
