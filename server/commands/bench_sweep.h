#pragma once
// Searches the highest request rate at which a server keeps the limits: doubles from the first rate
// until one fails (or halves until one is kept), then divides the last step until the rate that
// failed is within a tenth of the one that was kept.
//
// The search knows no server: what measures a rate is given. At most about 30 rates are tried.

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "server/commands/bench_report.h"

namespace quire::server {

struct SweepPoint {
  double rate = 0;                   // requests per second, asked
  double throughput = 0;             // answered
  double output_throughput = 0;      // tokens per second
  double goodput = 0;                // requests per second that kept the limits
  double p99_ttft = 0, p99_itl = 0;  // milliseconds
  std::size_t failed = 0;
  bool kept = false;
};

// Kept: nothing failed, and p99 of each measure is within its limit.
[[nodiscard]] SweepPoint sweep_point_of(const BenchReport& report);

// In the order in which they were tried.
[[nodiscard]] std::vector<SweepPoint> sweep(double first_rate,
                                            const std::function<SweepPoint(double rate)>& measure);

// 0 where none was kept.
[[nodiscard]] double highest_kept_rate(std::span<const SweepPoint> points);

// In the order of their rates, with a line that names the answer.
[[nodiscard]] std::string sweep_table(std::vector<SweepPoint> points);

}  // namespace quire::server
