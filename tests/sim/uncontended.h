#pragma once
// What a request yields when it has the world to itself, told in two independent ways.

#include "tests/sim/scenario.h"
#include "tests/sim/transcript.h"

namespace quire::sim {

// The rules of WIRE and step.h written down plainly: no scheduler, no cache, no blocks.
[[nodiscard]] Transcript by_the_rules(const Request& request, const Scenario& scenario);

// The real scheduler and cache, fresh and roomy, with this request alone.
[[nodiscard]] Transcript in_a_fresh_core(const Request& request, const Scenario& scenario);

}  // namespace quire::sim
