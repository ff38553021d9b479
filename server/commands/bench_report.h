#pragma once
// The figures of a run: from single requests to means and percentiles, and as a table.
// Pure functions; any thread. Requests that failed count as failed and nowhere else.

#include <map>
#include <span>
#include <string>
#include <vector>

#include "server/commands/bench_client.h"

namespace quire::server {

// In milliseconds.
struct Spread {
  double mean = 0, deviation = 0, p50 = 0, p90 = 0, p99 = 0;
};
// Percentiles by linear interpolation, as numpy does; all zero where there is nothing.
[[nodiscard]] Spread spread_of(std::vector<double> milliseconds);
// `sorted` ascending and not empty; `share` in [0, 1].
[[nodiscard]] double percentile(std::span<const double> sorted, double share);

// What was measured, in milliseconds, over the requests that went well.
struct Samples {
  std::vector<double> ttft;  // time to the first non-empty text
  std::vector<double> itl;   // from one text to the next, over all of them
  std::vector<double> tpot;  // of each request: first to last text over its tokens but the first
  std::vector<double> e2el;  // to the end of the body
  std::vector<double> lag;   // how late it was sent; open loop only
};
[[nodiscard]] Samples samples_of(std::span<const BenchResult> requests);

struct BenchReport {
  std::string model{};
  std::string dataset{};         // empty: random words
  double request_rate = 0;       // 0: closed loop, or the trace's own times
  std::int32_t concurrency = 0;  // 0: open loop
  bool exact_prompts = false;    // lengths from the server's /tokenize
  LatencyLimits limits{};
  std::size_t ok = 0;
  std::size_t failed = 0;
  std::map<std::string, std::size_t> failures{};  // reason to number
  std::size_t good = 0;                           // that kept the limits
  double seconds = 0;
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  std::size_t most_in_flight = 0;
  double most_tokens_per_second = 0;  // of the whole seconds of the run
  Spread ttft{}, itl{}, tpot{}, e2el{}, lag{};
};
[[nodiscard]] BenchReport report_of(const LoadResult& result, const BenchOptions& options);

// Whether a request that went well kept the limits.
[[nodiscard]] bool keeps(const BenchResult& request, const LatencyLimits& limits);

[[nodiscard]] std::string report_table(const BenchReport& report);

[[nodiscard]] inline double per_second(double count, double seconds) {
  return seconds > 0 ? count / seconds : 0;
}

}  // namespace quire::server
