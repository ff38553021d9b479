#include "server/commands/bench_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "server/commands/bench_timeline.h"

namespace quire::server {
namespace {

constexpr double kMilli = 1000.0;

template <typename... Values>
std::string line(const char* format, Values... values) {
  std::array<char, 256> text;
  const int size = std::snprintf(text.data(), text.size(), format, values...);
  return {text.data(), static_cast<std::size_t>(std::clamp(size, 0, 255))};
}

std::string spread_line(const char* name, const Spread& spread) {
  return line("%-10s %12.2f %12.2f %12.2f %12.2f\n", name, spread.mean, spread.p50, spread.p90,
              spread.p99);
}

// Milliseconds per token after the first; nothing where there is no second.
double tpot_of(const BenchResult& request) {
  return (request.last_text - request.first_text) * kMilli /
         static_cast<double>(request.completion_tokens - 1);
}

std::string load_text(const BenchReport& report) {
  if (report.concurrency > 0) return line("%d at a time", report.concurrency);
  if (report.request_rate > 0) return line("%g /s asked, Poisson", report.request_rate);
  return "at the trace's times";
}

std::string goodput_line(const BenchReport& report) {
  if (!report.limits.any()) return {};
  const double all = static_cast<double>(report.ok + report.failed);
  return line("goodput    %.2f /s (%.1f %% of the requests kept the limits)\n",
              per_second(static_cast<double>(report.good), report.seconds),
              100.0 * per_second(static_cast<double>(report.good), all));
}

}  // namespace

double percentile(std::span<const double> sorted, double share) {
  const double rank = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(rank);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double between = rank - static_cast<double>(below);
  return sorted[below] + (sorted[above] - sorted[below]) * between;
}

Spread spread_of(std::vector<double> milliseconds) {
  if (milliseconds.empty()) return {};
  std::ranges::sort(milliseconds);
  const auto count = static_cast<double>(milliseconds.size());
  double sum = 0;
  for (const double value : milliseconds) sum += value;
  const double mean = sum / count;
  double squares = 0;
  for (const double value : milliseconds) squares += (value - mean) * (value - mean);
  return {.mean = mean,
          .deviation = std::sqrt(squares / count),
          .p50 = percentile(milliseconds, 0.50),
          .p90 = percentile(milliseconds, 0.90),
          .p99 = percentile(milliseconds, 0.99)};
}

Samples samples_of(std::span<const BenchResult> requests) {
  Samples samples;
  for (const BenchResult& request : requests) {
    if (!request.ok()) continue;
    samples.ttft.push_back(request.first_text * kMilli);
    samples.e2el.push_back(request.end * kMilli);
    samples.lag.push_back(request.lag * kMilli);
    for (const float gap : request.gaps) samples.itl.push_back(static_cast<double>(gap) * kMilli);
    if (request.completion_tokens >= 2) samples.tpot.push_back(tpot_of(request));
  }
  return samples;
}

bool keeps(const BenchResult& request, const LatencyLimits& limits) {
  if (request.first_text * kMilli > limits.ttft || request.end * kMilli > limits.e2el) return false;
  if (request.completion_tokens >= 2 && tpot_of(request) > limits.tpot) return false;
  if (request.gaps.empty() || limits.itl == LatencyLimits::kNone) return true;
  std::vector<double> gaps(request.gaps.begin(), request.gaps.end());
  std::ranges::sort(gaps);
  return percentile(gaps, 0.99) * kMilli <= limits.itl;
}

BenchReport report_of(const LoadResult& result, const BenchOptions& options) {
  BenchReport report{.model = options.model,
                     .dataset = options.dataset,
                     .request_rate = options.request_rate,
                     .concurrency = options.open_loop() ? 0 : options.concurrency,
                     .limits = options.limits};
  for (const BenchResult& request : result.requests) {
    if (!request.ok()) {
      ++report.failed;
      ++report.failures[request.failure];
      continue;
    }
    ++report.ok;
    if (keeps(request, options.limits)) ++report.good;
    report.input_tokens += request.prompt_tokens;
    report.output_tokens += request.completion_tokens;
  }
  Samples samples = samples_of(result.requests);
  report.seconds = result.seconds;
  report.ttft = spread_of(std::move(samples.ttft));
  report.itl = spread_of(std::move(samples.itl));
  report.tpot = spread_of(std::move(samples.tpot));
  report.e2el = spread_of(std::move(samples.e2el));
  report.lag = spread_of(std::move(samples.lag));
  report.most_in_flight = most_in_flight(result.requests);
  report.most_tokens_per_second = most_tokens_per_second(result.requests);
  return report;
}

std::string report_table(const BenchReport& report) {
  const auto ok = static_cast<double>(report.ok);
  const auto input = static_cast<double>(report.input_tokens);
  const auto output = static_cast<double>(report.output_tokens);
  std::string table = line("requests   %zu ok, %zu failed, %s, at most %zu in flight\n", report.ok,
                           report.failed, load_text(report).c_str(), report.most_in_flight);
  for (const auto& [reason, number] : report.failures) {
    table += "           " + std::to_string(number) + " x " + reason + "\n";
  }
  table += line("duration   %.2f s\n", report.seconds);
  table += line("requests   %.2f /s\n", per_second(ok, report.seconds));
  table += goodput_line(report);
  table +=
      line("input      %.1f tok/s, %.1f tokens a request%s\n", per_second(input, report.seconds),
           per_second(input, ok), report.exact_prompts ? "" : " (length estimated: no /tokenize)");
  table += line("output     %.1f tok/s, %.1f tokens a request\n",
                per_second(output, report.seconds), per_second(output, ok));
  table += line("%-10s %12s %12s %12s %12s\n", "ms", "mean", "p50", "p90", "p99");
  table += spread_line("TTFT", report.ttft);
  table += spread_line("ITL", report.itl);
  table += spread_line("TPOT", report.tpot);
  table += spread_line("E2E", report.e2el);
  if (report.concurrency == 0) table += spread_line("sent late", report.lag);
  return table;
}

}  // namespace quire::server
