#include "server/commands/bench_page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "server/commands/bench_chart.h"
#include "server/commands/bench_timeline.h"

namespace quire::server {
namespace {

constexpr double kSteps = 120;             // of the charts over time
constexpr std::size_t kCurvePoints = 200;  // of a percentile curve
constexpr double kTail = 3;                // nines at the right end of a percentile curve

constexpr std::string_view kStyle = R"(<style>
:root { color-scheme: light dark; --bg: #fbfbfa; --card: #fff; --ink: #1c1e21; --soft: #62676f;
  --rule: #e4e5e7; --s0: #2563a8; --s1: #c2561a; --s2: #2f7d4f; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --bg: #16181b; --card: #1e2125; --ink: #e8e9eb;
  --soft: #9aa0a8; --rule: #33373d; --s0: #6ea8e6; --s1: #eb9a62; --s2: #6cc592; --bad: #f2938c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 20px 48px; max-width: 1200px; background: var(--bg);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0; } h2 { font-size: 16px; margin: 32px 0 10px; }
.what { color: var(--soft); margin: 2px 0 18px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; }
.tiles div, figure { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; }
.tiles div { padding: 10px 14px; } .tiles b { display: block; font-size: 22px; font-weight: 600; }
.tiles span { color: var(--soft); font-size: 13px; } .bad b { color: var(--bad); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr));
  gap: 14px; }
figure { margin: 0; padding: 12px 14px 6px; } figcaption { font-weight: 600; }
small { color: var(--soft); font-weight: 400; }
svg { width: 100%; height: auto; display: block; }
.grid { stroke: var(--rule); } .tick, .label { fill: var(--soft); font-size: 11px; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; } .area { opacity: .16; }
.l0 { stroke: var(--s0); } .l1 { stroke: var(--s1); } .l2 { stroke: var(--s2); }
.f0 { fill: var(--s0); } .f1 { fill: var(--s1); } .f2 { fill: var(--s2); }
.limit { stroke: var(--bad); stroke-dasharray: 5 4; }
.legend { margin: 2px 0 0; color: var(--soft); font-size: 13px; }
.legend span { margin-right: 14px; } .legend i { display: inline-block; width: 16px; height: 3px;
  margin-right: 5px; vertical-align: middle; }
.b0 { background: var(--s0); } .b1 { background: var(--s1); } .b2 { background: var(--s2); }
.dash { border-top: 2px dashed var(--bad); height: 0 !important; }
.table { overflow-x: auto; } table { border-collapse: collapse; }
td, th { padding: 4px 16px 4px 0; text-align: right; border-bottom: 1px solid var(--rule);
  font-variant-numeric: tabular-nums; } td:first-child, th:first-child { text-align: left; }
th { color: var(--soft); font-weight: 500; }
</style>
)";

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 256> text;
  const int size = std::snprintf(text.data(), text.size(), pattern, values...);
  return {text.data(), static_cast<std::size_t>(std::clamp(size, 0, 255))};
}

std::string tile(const std::string& value, std::string_view name, bool bad = false) {
  return std::string(bad ? "<div class=\"bad\"><b>" : "<div><b>")
      .append(escape_html(value))
      .append("</b><span>")
      .append(name)
      .append("</span></div>");
}

std::string tiles(const BenchReport& report) {
  const auto rate = [&](auto count) {
    return number_text(per_second(static_cast<double>(count), report.seconds));
  };
  std::string html = "<div class=\"tiles\">";
  html += tile(std::to_string(report.ok), "requests went well");
  html += tile(std::to_string(report.failed), "failed", report.failed > 0);
  html += tile(rate(report.ok), "requests per second");
  html += tile(rate(report.output_tokens), "output tokens per second");
  html += tile(rate(report.input_tokens + report.output_tokens), "tokens per second, in and out");
  if (report.limits.any()) html += tile(rate(report.good), "requests per second within limits");
  html += tile(number_text(report.ttft.p50) + " ms", "TTFT, median");
  html += tile(number_text(report.itl.p99) + " ms", "ITL, p99");
  html += tile(std::to_string(report.most_in_flight), "in flight at most");
  return html + "</div>\n";
}

std::string spread_row(const char* name, const Spread& spread) {
  return format("<tr><td>%s</td><td>%.2f</td><td>%.2f</td><td>%.2f</td><td>%.2f</td></tr>\n", name,
                spread.mean, spread.p50, spread.p90, spread.p99);
}

std::string latency_table(const BenchReport& report) {
  std::string html =
      "<h2>Latency, milliseconds</h2><div class=\"table\"><table>\n"
      "<tr><th></th><th>mean</th><th>p50</th><th>p90</th><th>p99</th></tr>\n";
  html += spread_row("TTFT: to the first token", report.ttft);
  html += spread_row("ITL: from token to token", report.itl);
  html += spread_row("TPOT: per token after the first", report.tpot);
  html += spread_row("E2E: to the end", report.e2el);
  if (report.concurrency == 0) html += spread_row("sent late, by this generator", report.lag);
  return html + "</table></div>\n";
}

std::string failure_table(const BenchReport& report) {
  if (report.failures.empty()) return {};
  std::string html = "<h2>What failed</h2><div class=\"table\"><table>\n";
  for (const auto& [reason, number] : report.failures) {
    html +=
        "<tr><td>" + escape_html(reason) + "</td><td>" + std::to_string(number) + "</td></tr>\n";
  }
  return html + "</table></div>\n";
}

// x counts nines: 0 is the least value, 1 is p90, 2 is p99, 3 is p99.9.
Chart percentile_chart(std::string title, std::vector<double> values, double limit) {
  std::ranges::sort(values);
  Chart chart{
      .title = std::move(title),
      .x_label = "share of the values that are less",
      .y_label = "ms",
      .series = {ChartSeries{.name = "milliseconds"}},
      .x_ticks = {{0, "0"}, {std::log10(2.0), "50 %"}, {1, "90 %"}, {2, "99 %"}, {3, "99.9 %"}},
      .limit = limit == LatencyLimits::kNone ? 0 : limit};
  // As far as there are values to tell by.
  const double nines = std::min(kTail, std::log10(static_cast<double>(values.size() + 1)));
  for (std::size_t i = 0; !values.empty() && i <= kCurvePoints; ++i) {
    const double at = nines * static_cast<double>(i) / static_cast<double>(kCurvePoints);
    chart.series[0].points.emplace_back(at, percentile(values, 1 - std::pow(10.0, -at)));
  }
  return chart;
}

std::string percentile_charts(const BenchReport& report, std::span<const BenchResult> requests) {
  Samples samples = samples_of(requests);
  std::string html = "<h2>Percentiles</h2><div class=\"charts\">\n";
  html += chart_svg(
      percentile_chart("Time to first token", std::move(samples.ttft), report.limits.ttft));
  html +=
      chart_svg(percentile_chart("Inter-token latency", std::move(samples.itl), report.limits.itl));
  html += chart_svg(
      percentile_chart("Time per output token", std::move(samples.tpot), report.limits.tpot));
  html += chart_svg(percentile_chart("End to end", std::move(samples.e2el), report.limits.e2el));
  return html + "</div>\n";
}

ChartSeries over_time(std::string name, const std::vector<double>& values, double step,
                      bool filled) {
  ChartSeries series{.name = std::move(name), .filled = filled};
  for (std::size_t i = 0; i < values.size(); ++i) {
    series.points.emplace_back((static_cast<double>(i) + 0.5) * step, values[i]);
  }
  return series;
}

std::string time_charts(const BenchReport& report, std::span<const BenchResult> requests) {
  // In a short run no finer than a quarter of a second: finer steps show single tokens.
  const double steps = std::clamp(4 * report.seconds, 12.0, kSteps);
  const Timeline line = timeline_of(requests, report.seconds, static_cast<std::size_t>(steps));
  std::string html = "<h2>Over time</h2><div class=\"charts\">\n";
  html += chart_svg(
      {.title = "Requests in flight",
       .x_label = "seconds",
       .y_label = "mean number",
       .series = {over_time("running", line.running, line.step, true),
                  over_time("waiting for the first token", line.waiting, line.step, true)}});
  html += chart_svg({.title = "Output tokens",
                     .x_label = "seconds",
                     .y_label = "per second",
                     .series = {over_time("tokens", line.tokens, line.step, true)}});
  html += chart_svg({.title = "Requests finished",
                     .x_label = "seconds",
                     .y_label = "per second",
                     .series = {over_time("requests", line.finished, line.step, true)}});
  return html + "</div>\n";
}

ChartSeries over_rate(std::string name, std::span<const SweepPoint> points,
                      double SweepPoint::*value) {
  ChartSeries series{.name = std::move(name), .dots = true};
  for (const SweepPoint& point : points) series.points.emplace_back(point.rate, point.*value);
  std::ranges::sort(series.points);
  return series;
}

std::string sweep_charts(const BenchReport& report, std::span<const SweepPoint> points) {
  if (points.empty()) return {};
  const double highest = highest_kept_rate(points);
  const auto shown = [](double limit) { return limit == LatencyLimits::kNone ? 0 : limit; };
  std::string html = "<h2>Capacity: ";
  html += highest > 0 ? number_text(highest) + " requests per second keep the limits"
                      : std::string("no rate that was tried keeps the limits");
  html += "</h2><div class=\"charts\">\n";
  html += chart_svg({.title = "p99 time to first token",
                     .x_label = "requests per second asked",
                     .y_label = "ms",
                     .series = {over_rate("p99 TTFT", points, &SweepPoint::p99_ttft)},
                     .limit = shown(report.limits.ttft)});
  html += chart_svg({.title = "p99 inter-token latency",
                     .x_label = "requests per second asked",
                     .y_label = "ms",
                     .series = {over_rate("p99 ITL", points, &SweepPoint::p99_itl)},
                     .limit = shown(report.limits.itl)});
  html += chart_svg({.title = "Requests done",
                     .x_label = "requests per second asked",
                     .y_label = "per second",
                     .series = {over_rate("done", points, &SweepPoint::throughput),
                                over_rate("within limits", points, &SweepPoint::goodput)}});
  return html + "</div>\n";
}

std::string what(const BenchReport& report) {
  std::string text = report.dataset.empty() ? "random words" : report.dataset;
  if (report.concurrency > 0) {
    text += ", closed loop of " + std::to_string(report.concurrency);
  } else if (report.request_rate > 0) {
    text += ", " + number_text(report.request_rate) + " requests per second asked (Poisson)";
  } else {
    text += ", at the trace's times";
  }
  return text + ", " + number_text(report.seconds) + " seconds";
}

}  // namespace

std::string report_page(const BenchReport& report, std::span<const BenchResult> requests,
                        std::span<const SweepPoint> sweep) {
  std::string html =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
  html += escape_html(report.model) + " under load</title>\n";
  html.append(kStyle).append("</head><body>\n<h1>");
  html += escape_html(report.model) + " under load</h1>\n<p class=\"what\">";
  html += escape_html(what(report)) + "</p>\n";
  html += sweep_charts(report, sweep);
  if (!sweep.empty()) html += "<h2>The highest rate that kept the limits, or the last tried</h2>\n";
  html += tiles(report) + time_charts(report, requests) + percentile_charts(report, requests);
  html += latency_table(report) + failure_table(report);
  return html + "</body></html>\n";
}

}  // namespace quire::server
