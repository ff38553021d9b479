#pragma once
// Core: scheduler, cache and fake model put together, with the values that pass between them. The
// same for the run under test and for the uncontended one.

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "cache/kv_cache_manager.h"
#include "scheduler/scheduler.h"
#include "tests/sim/fake_model.h"
#include "tests/sim/fake_tier.h"
#include "tests/sim/scenario.h"

namespace quire::sim {

[[nodiscard]] inline cache::KvCacheSpec spec_of(const Scenario& scenario) {
  cache::KvCacheSpec spec;
  for (const Group& group : scenario.groups) {
    spec.groups.push_back({.kind = group.window > 0 ? cache::AttentionKind::kSlidingWindow
                                                    : cache::AttentionKind::kFull,
                           .num_layers = 1,
                           .num_kv_heads = 1,
                           .head_dim = 8,
                           .window = group.window,
                           .block_size = group.block_size});
  }
  return spec;
}

struct Core {
  explicit Core(const Scenario& scenario)
      : host(scenario),
        tier(scenario, host),
        cache({.num_blocks = scenario.num_blocks,
               .enable_prefix_caching = scenario.prefix_caching,
               .max_step_tokens = scenario.scheduler.max_num_batched_tokens,
               .hash_bits = scenario.hash_bits,
               .max_candidates = scenario.max_candidates,
               .num_host_slots = scenario.num_host_slots},
              spec_of(scenario), scenario.has_lower_tier ? &tier : nullptr),
        scheduler(scenario.scheduler, cache),
        model(scenario, host) {
    scheduler.reserve(plan, events);
    scheduler.reserve(next, events);
  }

  void check_invariants() const {
    cache.check_invariants();
    scheduler.check_invariants();
  }

  HostMemory host;
  FakeTier tier;
  cache::KvCacheManager cache;
  scheduler::Scheduler scheduler;
  FakeModel model;
  scheduler::StepPlan plan;
  scheduler::StepOutput output;
  scheduler::StepPlan next;  // planned ahead, behind `plan`
  scheduler::StepOutput next_output;
  std::vector<scheduler::TokenEvent> events;
};

// nullptr: it is gone, or was never here.
[[nodiscard]] inline const scheduler::Sequence* find(const Core& core, SequenceId id) {
  const auto all = core.scheduler.sequences();
  const auto found = std::ranges::find(all, id, &scheduler::Sequence::id);
  return found == all.end() ? nullptr : *found;
}

// Its row of the last plan; nullptr: it has none.
[[nodiscard]] inline const scheduler::StepRow* row_of(const Core& core, SequenceId id) {
  const auto row = std::ranges::find(core.plan.rows, id, &scheduler::StepRow::sequence);
  return row == core.plan.rows.end() ? nullptr : &*row;
}

[[nodiscard]] inline bool runs(const scheduler::Sequence& sequence) {
  return sequence.state == scheduler::SequenceState::kRunning && !sequence.paused;
}
// In the queue: not paused, no leader computes its prompt for it, and nothing is read for it. (By
// its fields, not by what the scheduler makes of them.)
[[nodiscard]] inline bool waits(const scheduler::Sequence& sequence) {
  return sequence.state == scheduler::SequenceState::kWaiting && !sequence.paused &&
         sequence.waits_for == nullptr && sequence.reads == cache::kNoTicket;
}

// Each half alone is that of others too.
[[nodiscard]] inline CacheSalt salt_of(std::uint64_t tenant) {
  return {.high = tenant / 2, .low = tenant % 2};
}

// A sequence of this request; ids and arrival are drawn from one counter. leader: of the choice
// that came first; 0: none.
[[nodiscard]] inline std::unique_ptr<scheduler::Sequence> make_sequence(
    const Request& request, std::uint64_t number, scheduler::Clock::time_point now,
    std::uint64_t leader = 0) {
  auto sequence = std::make_unique<scheduler::Sequence>();
  sequence->id = SequenceId{number};
  sequence->arrival = number;
  sequence->arrival_time = now;
  sequence->priority = request.priority;
  sequence->choice = request.choice;
  sequence->tenant = request.tenant;
  sequence->salt = salt_of(request.tenant);
  if (request.patience > 0) sequence->deadline = now + std::chrono::milliseconds(request.patience);
  sequence->leader = SequenceId{leader};
  sequence->params = request.params;
  sequence->tokens = request.prompt;
  sequence->num_prompt_tokens = static_cast<std::int32_t>(request.prompt.size());
  return sequence;
}

}  // namespace quire::sim
