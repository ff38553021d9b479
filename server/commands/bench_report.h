#pragma once
// The figures of a run: from single requests to means and percentiles, as a table and as JSON.
// Pure functions; any thread. Requests that failed count as failed and nowhere else.

#include <map>
#include <span>
#include <string>
#include <vector>

#include "server/commands/bench_client.h"

namespace quire::server {

// In milliseconds.
struct Spread {
  double mean = 0, p50 = 0, p90 = 0, p99 = 0;
};
// Percentiles by linear interpolation, as numpy does; all zero where there is nothing.
[[nodiscard]] Spread spread_of(std::vector<double> milliseconds);

struct BenchReport {
  std::string model;
  std::int32_t concurrency = 0;
  bool exact_prompts = false;  // lengths from the server's /tokenize
  std::size_t ok = 0;
  std::size_t failed = 0;
  std::map<std::string, std::size_t> failures;  // reason to number
  double seconds = 0;
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  Spread ttft;  // time to the first non-empty text
  Spread itl;   // from one text to the next, over all of them
  Spread tpot;  // of each request: first to last text over its tokens but the first
  Spread e2e;   // to the end of the body
};
[[nodiscard]] BenchReport report_of(const LoadResult& result);

[[nodiscard]] std::string report_table(const BenchReport& report);
// `requests`: each is written too; none for the summary alone.
[[nodiscard]] std::string report_json(const BenchReport& report,
                                      std::span<const BenchResult> requests);

}  // namespace quire::server
