#include "server/commands/bench_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace quire::server {
namespace {

using nlohmann::ordered_json;

constexpr double kMilli = 1000.0;

double percentile(const std::vector<double>& sorted, double share) {
  const double rank = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(rank);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double between = rank - static_cast<double>(below);
  return sorted[below] + (sorted[above] - sorted[below]) * between;
}

double per_second(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

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

ordered_json spread_json(const Spread& spread) {
  return {{"mean", spread.mean}, {"p50", spread.p50}, {"p90", spread.p90}, {"p99", spread.p99}};
}

ordered_json request_json(const BenchResult& request) {
  if (!request.ok()) return {{"ok", false}, {"failure", request.failure}};
  ordered_json gaps = ordered_json::array();
  for (const float gap : request.gaps) gaps.push_back(static_cast<double>(gap) * kMilli);
  return {{"ok", true},
          {"input_tokens", request.prompt_tokens},
          {"output_tokens", request.completion_tokens},
          {"ttft_ms", request.first_text * kMilli},
          {"e2e_ms", request.end * kMilli},
          {"itl_ms", std::move(gaps)}};
}

}  // namespace

Spread spread_of(std::vector<double> milliseconds) {
  if (milliseconds.empty()) return {};
  std::ranges::sort(milliseconds);
  double sum = 0;
  for (const double value : milliseconds) sum += value;
  return {.mean = sum / static_cast<double>(milliseconds.size()),
          .p50 = percentile(milliseconds, 0.50),
          .p90 = percentile(milliseconds, 0.90),
          .p99 = percentile(milliseconds, 0.99)};
}

BenchReport report_of(const LoadResult& result) {
  BenchReport report;
  std::vector<double> ttft, itl, tpot, e2e;
  for (const BenchResult& request : result.requests) {
    if (!request.ok()) {
      ++report.failed;
      ++report.failures[request.failure];
      continue;
    }
    ++report.ok;
    report.input_tokens += request.prompt_tokens;
    report.output_tokens += request.completion_tokens;
    ttft.push_back(request.first_text * kMilli);
    e2e.push_back(request.end * kMilli);
    for (const float gap : request.gaps) itl.push_back(static_cast<double>(gap) * kMilli);
    if (request.completion_tokens < 2) continue;
    tpot.push_back((request.last_text - request.first_text) * kMilli /
                   static_cast<double>(request.completion_tokens - 1));
  }
  report.seconds = result.seconds;
  report.ttft = spread_of(std::move(ttft));
  report.itl = spread_of(std::move(itl));
  report.tpot = spread_of(std::move(tpot));
  report.e2e = spread_of(std::move(e2e));
  return report;
}

std::string report_table(const BenchReport& report) {
  const auto ok = static_cast<double>(report.ok);
  const auto input = static_cast<double>(report.input_tokens);
  const auto output = static_cast<double>(report.output_tokens);
  std::string table = line("requests   %zu ok, %zu failed, %d at a time\n", report.ok,
                           report.failed, report.concurrency);
  for (const auto& [reason, number] : report.failures) {
    table += "           " + std::to_string(number) + " x " + reason + "\n";
  }
  table += line("duration   %.2f s\n", report.seconds);
  table += line("requests   %.2f /s\n", per_second(ok, report.seconds));
  table +=
      line("input      %.1f tok/s, %.1f tokens a request%s\n", per_second(input, report.seconds),
           per_second(input, ok), report.exact_prompts ? "" : " (length estimated: no /tokenize)");
  table += line("output     %.1f tok/s, %.1f tokens a request\n",
                per_second(output, report.seconds), per_second(output, ok));
  table += line("%-10s %12s %12s %12s %12s\n", "ms", "mean", "p50", "p90", "p99");
  table += spread_line("TTFT", report.ttft);
  table += spread_line("ITL", report.itl);
  table += spread_line("TPOT", report.tpot);
  table += spread_line("E2E", report.e2e);
  return table;
}

std::string report_json(const BenchReport& report, std::span<const BenchResult> requests) {
  ordered_json body{
      {"model", report.model},
      {"concurrency", report.concurrency},
      {"exact_prompts", report.exact_prompts},
      {"requests_ok", report.ok},
      {"requests_failed", report.failed},
      {"failures", report.failures},
      {"duration_s", report.seconds},
      {"requests_per_s", per_second(static_cast<double>(report.ok), report.seconds)},
      {"input_tokens", report.input_tokens},
      {"output_tokens", report.output_tokens},
      {"input_tokens_per_s", per_second(static_cast<double>(report.input_tokens), report.seconds)},
      {"output_tokens_per_s",
       per_second(static_cast<double>(report.output_tokens), report.seconds)},
      {"ttft_ms", spread_json(report.ttft)},
      {"itl_ms", spread_json(report.itl)},
      {"tpot_ms", spread_json(report.tpot)},
      {"e2e_ms", spread_json(report.e2e)}};
  for (const BenchResult& request : requests) body["requests"].push_back(request_json(request));
  // A server's own words in a failure may be no UTF-8.
  return body.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace quire::server
