#pragma once
// Scenario: all that a seed decides before the first step: the sizes of scheduler and pool, how
// often which fault strikes, and what clients ask for.

#include <cstdint>
#include <vector>

#include "proto/types.h"
#include "scheduler/options.h"
#include "tests/sim/random.h"

namespace quire::sim {

inline constexpr std::int32_t kVocabSize = 48;
inline constexpr TokenId kEndToken = 0;
inline constexpr TokenId kOtherEndToken = 1;

// Per mille and step; drawn per seed, so that some runs are calm and some are all of one fault.
struct Odds {
  std::int32_t arrival = 0;
  std::int32_t burst = 0;
  std::int32_t abort = 0;
  std::int32_t finish = 0;  // the consumer found a stop string
  std::int32_t pause = 0;
  std::int32_t resume = 0;
  std::int32_t disturb_in_flight = 0;  // abort or pause between schedule() and update()
  std::int32_t clock_jump = 0;
  std::int32_t preempt = 0;       // by force
  std::int32_t evict = 0;         // by force: some free pages at once
  std::int32_t tier_costs = 0;    // what reading and computing cost is measured anew
  std::int32_t several = 0;       // per request: n > 1
  std::int32_t at_the_limit = 0;  // per request: its size is the limit, one less or one more
  // Per request: nearly all is output, so that it grows and crowds; of every second tenant the
  // others are.
  std::int32_t short_prompt = 0;
  std::int32_t priority = 0;      // per request: one that is not 0
  std::int32_t first_tenant = 0;  // per request: it comes from the first tenant, who crowds others
  std::int32_t own_deadline = 0;  // per request
};

// What goes wrong below host memory; per mille and job, `delay` in steps.
struct TierOdds {
  std::uint64_t seed = 0;
  std::int32_t delay = 0;
  std::int32_t slow = 0;    // takes 300 steps more
  std::int32_t refuse = 0;  // the queue is full
  std::int32_t fail = 0;    // a read
  std::int32_t damage = 0;  // a record
  std::int32_t lose = 0;    // a record, evicted between question and read
  std::int32_t full = 0;    // a write finds no room
  bool ask_always = false;  // nobody knows what is there before it was asked for
};

// How a run ends once the faults stop.
enum class Ending : std::uint8_t {
  kDrain,    // everything must come to its end within a bound
  kFailAll,  // the device is lost
  kDestroy,  // the scheduler is destroyed with all it holds
};

// A kind of attention of the fake model; window 0: all that is before.
struct Group {
  std::int32_t block_size = 1;
  std::int32_t window = 0;
};

struct Scenario {
  scheduler::SchedulerOptions scheduler;
  std::int32_t num_blocks = 1;
  std::vector<Group> groups = {{}};
  bool prefix_caching = true;
  std::int32_t hash_bits = 64;
  std::int32_t max_candidates = 16;
  std::int32_t num_tenants = 1;
  std::int32_t num_stories = 4;  // different beginnings of prompts
  // One sample in so many has logits that are not finite; 0: none.
  std::int32_t model_fault_period = 0;
  // Per mille of choices that the model puts off to a later step (as a masked row will).
  std::int32_t put_off = 0;
  // Per mille of steps for which the next one is asked for ahead.
  std::int32_t run_ahead = 0;
  Odds odds;
  std::int32_t num_host_slots = 0;
  bool has_lower_tier = false;
  TierOdds tier;
  Ending ending = Ending::kDrain;
};

// What a client asks for. n > 1 is several of these with one prompt.
struct Request {
  std::vector<TokenId> prompt;
  SamplingParams params;
  std::int32_t priority = 0;
  std::int32_t choice = 0;
  std::uint64_t tenant = 0;
  std::int32_t patience = 0;  // milliseconds until its own deadline; 0: none
};

[[nodiscard]] Scenario draw_scenario(Random& random);
// `pool_tokens`: the longest sequence that the pool holds.
[[nodiscard]] Request draw_request(const Scenario& scenario, std::int64_t pool_tokens,
                                   Random& random);

}  // namespace quire::sim
