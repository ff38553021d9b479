#include "server/commands/bench_timeline.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace quire::server {
namespace {

// Where a moment falls; what lies outside counts at the nearest end.
std::size_t step_at(double at, double step, std::size_t steps) {
  const double place = std::floor(at / step);
  return static_cast<std::size_t>(std::clamp(place, 0.0, static_cast<double>(steps - 1)));
}

// Adds to each step the share of it that [from, to) covers.
void cover(std::vector<double>& steps, double step, double from, double to) {
  if (!(to > from)) return;
  const std::size_t last = step_at(to, step, steps.size());
  for (std::size_t i = step_at(from, step, steps.size()); i <= last; ++i) {
    const double begin = static_cast<double>(i) * step;
    const double covered = std::min(to, begin + step) - std::max(from, begin);
    if (covered > 0) steps[i] += covered / step;
  }
}

// Calls `take` with the moment of each text and the tokens it stands for.
void each_text(const BenchResult& request, const std::function<void(double, double)>& take) {
  const double tokens =
      static_cast<double>(request.completion_tokens) / static_cast<double>(request.gaps.size() + 1);
  double at = request.start + request.first_text;
  take(at, tokens);
  for (const float gap : request.gaps) take(at += static_cast<double>(gap), tokens);
}

}  // namespace

Timeline timeline_of(std::span<const BenchResult> requests, double seconds, std::size_t steps) {
  Timeline timeline{.step = std::max(seconds, 1e-9) / static_cast<double>(steps)};
  for (auto* values :
       {&timeline.waiting, &timeline.running, &timeline.tokens, &timeline.finished}) {
    values->assign(steps, 0.0);
  }
  for (const BenchResult& request : requests) {
    const double end = request.start + request.end;
    const bool has_text = request.first_text > 0;
    const double first = has_text ? request.start + request.first_text : end;
    cover(timeline.waiting, timeline.step, request.start, first);
    cover(timeline.running, timeline.step, first, end);
    if (!request.ok()) continue;
    timeline.finished[step_at(end, timeline.step, steps)] += 1 / timeline.step;
    each_text(request, [&](double at, double tokens) {
      timeline.tokens[step_at(at, timeline.step, steps)] += tokens / timeline.step;
    });
  }
  return timeline;
}

std::size_t most_in_flight(std::span<const BenchResult> requests) {
  std::vector<std::pair<double, int>> changes;  // one that ends makes room before one that begins
  changes.reserve(2 * requests.size());
  for (const BenchResult& request : requests) {
    changes.emplace_back(request.start, 1);
    changes.emplace_back(request.start + request.end, -1);
  }
  std::ranges::sort(changes);
  std::ptrdiff_t now = 0, most = 0;
  for (const auto& [at, change] : changes) most = std::max(most, now += change);
  return static_cast<std::size_t>(most);
}

double most_tokens_per_second(std::span<const BenchResult> requests) {
  double end = 0;
  for (const BenchResult& request : requests) end = std::max(end, request.start + request.end);
  std::vector<double> seconds(static_cast<std::size_t>(end) + 1, 0.0);
  for (const BenchResult& request : requests) {
    if (!request.ok()) continue;
    each_text(request, [&](double at, double tokens) {
      seconds[step_at(at, 1.0, seconds.size())] += tokens;
    });
  }
  return std::ranges::max(seconds);
}

}  // namespace quire::server
