#include "tests/sim/scenario.h"

#include <algorithm>
#include <chrono>

namespace quire::sim {
namespace {

std::vector<Group> draw_groups(Random& random) {
  const std::int32_t size = random.one_of({1, 2, 3, 4, 8, 16});
  const std::int32_t window = random.one_of({2, 3, random.between(2, 12), random.between(8, 40)});
  switch (random.below(8)) {
    case 0:
      return {{.block_size = size, .window = window}};
    case 1:
      return {{.block_size = size}, {.block_size = size, .window = window}};
    case 2:
      return {{.block_size = size}, {.block_size = 2 * size, .window = window}};
    case 3:
      return {{.block_size = 2 * size, .window = window}, {.block_size = size}};
    default:
      return {{.block_size = size}};
  }
}

scheduler::SchedulerOptions draw_options(std::int32_t pool_tokens, Random& random) {
  const std::int32_t any_len = random.between(2, 200);
  return {.max_num_seqs = random.one_of({1, 4, random.between(1, 16), random.between(8, 64)}),
          .max_num_batched_tokens =
              random.one_of({1, random.between(1, 8), random.between(8, 64), 64, 256}),
          .max_num_prefill_tokens =
              random.one_of({0, 0, 1, random.between(1, 8), random.between(8, 64)}),
          .max_queue_len = random.one_of({random.between(1, 16), random.between(8, 64), 64}),
          .max_model_len = random.one_of({any_len, std::min(any_len, pool_tokens), pool_tokens}),
          .max_preemptions = random.one_of({0, 1, 2, 3, 3, 3}),
          .request_deadline = std::chrono::milliseconds(random.one_of({1'000, 20'000, 600'000})),
          .stall_timeout = std::chrono::milliseconds(random.one_of({100, 1'000, 30'000})),
          .read_timeout = std::chrono::milliseconds(random.one_of({50, 500, 2'000, 60'000})),
          .eos_token_ids = {kEndToken, kOtherEndToken},
          .max_chunk = random.one_of({0, 0, 1, random.between(1, 7)}),
          .force_preempt_every = random.one_of({0, 0, 0, random.between(2, 40)})};
}

Odds draw_odds(Random& random) {
  return {.arrival = random.one_of({100, 400, 900}),
          .burst = random.one_of({0, 5, 30}),
          .abort = random.one_of({0, 10, 100}),
          .finish = random.one_of({0, 10, 50}),
          .pause = random.one_of({0, 0, 20, 200}),
          .resume = random.one_of({50, 200, 500}),
          .disturb_in_flight = random.one_of({0, 20, 100}),
          .clock_jump = random.one_of({0, 0, 2, 20}),
          .preempt = random.one_of({0, 0, 10, 100}),
          .evict = random.one_of({0, 0, 10, 100}),
          .tier_costs = random.one_of({0, 10, 100}),
          .several = random.one_of({0, 100, 400}),
          .at_the_limit = random.one_of({0, 100, 400}),
          .short_prompt = random.one_of({0, 500, 950}),
          .priority = random.one_of({0, 200}),
          .first_tenant = random.one_of({0, 500, 900}),
          .own_deadline = random.one_of({0, 0, 100})};
}

TierOdds draw_tier_odds(Random& random) {
  return {.seed = random.next(),
          .delay = random.one_of({0, 2, 10, 40}),
          .slow = random.one_of({0, 0, 5, 50}),
          .refuse = random.one_of({0, 0, 20, 300}),
          .fail = random.one_of({0, 0, 50, 500}),
          .damage = random.one_of({0, 0, 50, 500}),
          .lose = random.one_of({0, 0, 50, 500}),
          .full = random.one_of({0, 0, 20, 300}),
          .ask_always = random.chance(300)};
}

// prompt + max_tokens: mostly small, sometimes at a limit or just off it.
std::int32_t draw_total(const Scenario& scenario, std::int32_t pool_tokens, Random& random) {
  const std::int32_t limit = std::min(scenario.scheduler.max_model_len, pool_tokens);
  if (random.chance(scenario.odds.at_the_limit)) {
    return std::max(
        1, random.one_of({scenario.scheduler.max_model_len, pool_tokens}) + random.between(-1, 1));
  }
  return random.between(1, random.one_of({limit, std::max(1, limit / 3), std::min(limit, 24)}));
}

SamplingParams draw_params(std::int32_t max_tokens, Random& random) {
  SamplingParams params;
  params.max_tokens = max_tokens;
  params.min_tokens = random.chance(200) ? random.between(0, max_tokens) : 0;
  params.ignore_eos = random.chance(600);
  if (random.chance(300)) params.stop_token_ids = {random.between(0, kVocabSize - 1)};
  params.seed = random.next();
  params.num_logprobs = random.between(-1, 3);
  params.prompt_logprobs = random.chance(250);
  // Tells the model that the sampler wants the tokens so far.
  if (random.chance(50)) params.presence_penalty = 1.0f;
  return params;
}

}  // namespace

Scenario draw_scenario(Random& random) {
  Scenario scenario;
  scenario.groups = draw_groups(random);
  scenario.prefix_caching = !random.chance(150);
  scenario.hash_bits = random.one_of({64, 64, 8, 1});
  scenario.max_candidates = random.one_of({16, 16, 2, 1});
  scenario.num_tenants = random.one_of({1, 1, 2, 3, random.between(4, 24)});
  scenario.num_stories = random.one_of({1, 2, 4, 16});
  scenario.num_blocks =
      random.one_of({1, 2, 3, random.between(1, 8), random.between(4, 24), random.between(1, 64)});
  // One token needs a block in each group.
  scenario.num_blocks =
      std::max(scenario.num_blocks, static_cast<std::int32_t>(scenario.groups.size()));
  scenario.scheduler = draw_options(scenario.num_blocks * scenario.groups[0].block_size, random);
  scenario.model_fault_period = random.one_of({0, 0, 0, 50, 500});
  scenario.put_off = random.one_of({0, 0, 20, 200});
  scenario.run_ahead = random.one_of({0, 500, 1000, 1000});
  scenario.odds = draw_odds(random);
  scenario.num_host_slots = random.one_of(
      {0, 0, 0, 1, random.between(1, 8), random.between(1, 8), random.between(4, 64)});
  scenario.has_lower_tier = random.chance(750);
  scenario.tier = draw_tier_odds(random);
  scenario.ending = random.chance(60)   ? Ending::kFailAll
                    : random.chance(60) ? Ending::kDestroy
                                        : Ending::kDrain;
  return scenario;
}

Request draw_request(const Scenario& scenario, std::int64_t pool_tokens, Random& random) {
  const auto pool = static_cast<std::int32_t>(std::min<std::int64_t>(pool_tokens, 512));
  const std::int32_t total = draw_total(scenario, pool, random);
  Request request;
  const bool crowds = random.chance(scenario.odds.first_tenant);
  request.tenant = crowds ? 0 : static_cast<std::uint64_t>(random.below(scenario.num_tenants));
  const bool short_prompt = random.chance(scenario.odds.short_prompt) != (request.tenant % 2 == 1);
  const std::int32_t output = random.chance(50) ? 0
                              : short_prompt    ? std::max(0, total - random.between(1, 4))
                                                : random.below(total);
  request.params = draw_params(output, random);
  request.priority = random.chance(scenario.odds.priority) ? random.between(-1, 1) : 0;
  request.patience = random.chance(scenario.odds.own_deadline) ? random.between(1, 5'000) : 0;
  // Few different beginnings, so that blocks are shared.
  Random words(static_cast<std::uint64_t>(random.below(scenario.num_stories)));
  const std::int32_t common = random.below(total - output + 1);
  for (std::int32_t i = 0; i < total - output; ++i) {
    request.prompt.push_back((i < common ? words : random).below(kVocabSize));
  }
  return request;
}

}  // namespace quire::sim
