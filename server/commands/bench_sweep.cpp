#include "server/commands/bench_sweep.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace quire::server {
namespace {

constexpr double kHighest = 100'000;  // requests per second: beyond it, the generator is measured
constexpr double kLowest = 1.0 / 64;
constexpr double kClose = 1.1;  // the answer is known to a tenth

std::string row(const SweepPoint& point) {
  std::array<char, 160> text;
  const int size = std::snprintf(
      text.data(), text.size(), "%10.2f %10.2f %10.1f %10.2f %12.1f %12.1f %8zu  %s\n", point.rate,
      point.throughput, point.output_throughput, point.goodput, point.p99_ttft, point.p99_itl,
      point.failed, point.kept ? "kept" : "not kept");
  return {text.data(), static_cast<std::size_t>(std::clamp(size, 0, 159))};
}

}  // namespace

SweepPoint sweep_point_of(const BenchReport& report) {
  const LatencyLimits& limits = report.limits;
  return {
      .rate = report.request_rate,
      .throughput = per_second(static_cast<double>(report.ok), report.seconds),
      .output_throughput = per_second(static_cast<double>(report.output_tokens), report.seconds),
      .goodput = per_second(static_cast<double>(report.good), report.seconds),
      .p99_ttft = report.ttft.p99,
      .p99_itl = report.itl.p99,
      .failed = report.failed,
      .kept = report.failed == 0 && report.ok > 0 && report.ttft.p99 <= limits.ttft &&
              report.itl.p99 <= limits.itl && report.tpot.p99 <= limits.tpot &&
              report.e2el.p99 <= limits.e2el};
}

std::vector<SweepPoint> sweep(double first_rate,
                              const std::function<SweepPoint(double rate)>& measure) {
  std::vector<SweepPoint> points;
  const auto kept = [&](double rate) {
    points.push_back(measure(rate));
    return points.back().kept;
  };
  double low = 0, high = 0;  // kept, and not kept
  for (double rate = first_rate; low == 0 || high == 0;) {
    if (kept(rate)) {
      low = rate;
      rate *= 2;
      if (rate > kHighest) return points;
    } else {
      high = rate;
      rate /= 2;
      if (rate < kLowest) return points;
    }
  }
  while (high > low * kClose) {
    const double middle = std::sqrt(low * high);
    (kept(middle) ? low : high) = middle;
  }
  return points;
}

double highest_kept_rate(std::span<const SweepPoint> points) {
  double highest = 0;
  for (const SweepPoint& point : points) {
    if (point.kept) highest = std::max(highest, point.rate);
  }
  return highest;
}

std::string sweep_table(std::vector<SweepPoint> points) {
  std::ranges::sort(points, {}, &SweepPoint::rate);
  std::array<char, 160> text;
  std::snprintf(text.data(), text.size(), "%10s %10s %10s %10s %12s %12s %8s\n", "asked /s",
                "done /s", "out tok/s", "good /s", "p99 TTFT ms", "p99 ITL ms", "failed");
  std::string table = text.data();
  for (const SweepPoint& point : points) table += row(point);
  const double highest = highest_kept_rate(points);
  if (highest == 0) return table + "no rate that was tried keeps the limits\n";
  std::snprintf(text.data(), text.size(), "highest rate that keeps the limits: %.2f requests/s\n",
                highest);
  return table + text.data();
}

}  // namespace quire::server
