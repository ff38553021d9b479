#pragma once
// Simulation: one run. Real scheduler, real cache, a fake model, a clock that the run moves, and
// clients that do what the seed says.

#include <cstdint>

namespace quire::sim {

struct Report {
  std::int64_t steps = 0;
  std::int64_t requests = 0;  // sequences that were added
  std::int64_t refused = 0;   // by admission or by a full queue
  std::int64_t preemptions = 0;
  std::int64_t guaranteed = 0;  // readmissions with the worst case reserved
  std::int64_t aborted = 0;
  std::int64_t tokens = 0;  // computed
  std::uint64_t trace = 0;  // hash of all plans and events: equal for equal seeds
};

// Runs `steps` steps under faults, then the scenario's ending. Throws Violation.
[[nodiscard]] Report simulate(std::uint64_t seed, std::int32_t steps);

}  // namespace quire::sim
