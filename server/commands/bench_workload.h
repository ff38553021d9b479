#pragma once
// What a run sends, and when: from the options, a fixed seed and, where there is one, a trace.
//
// Pure functions: the same options and words give the same calls.
// Cost: all prompts are made before the load begins, so that making them disturbs no measurement.

#include <random>
#include <string>
#include <vector>

#include "server/commands/bench_options.h"
#include "server/commands/bench_prompts.h"

namespace quire::server {

struct Call {
  double at = 0;  // seconds from the start of the run; looked at in an open loop only
  std::string body;
};

// Throws UsageError where the data set cannot be read.
[[nodiscard]] std::vector<Call> make_calls(const BenchOptions& options, const std::string& model,
                                           const WordCosts& words);

// Times of `count` arrivals of a Poisson process with `rate` per second.
[[nodiscard]] std::vector<double> poisson_times(std::size_t count, double rate,
                                                std::mt19937_64& random);

}  // namespace quire::server
