#include "server/commands/bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "proto/error.h"
#include "server/commands/bench_client.h"
#include "server/commands/bench_json.h"
#include "server/commands/bench_page.h"
#include "server/commands/bench_progress.h"
#include "server/commands/bench_prompts.h"
#include "server/commands/bench_report.h"
#include "server/commands/bench_sweep.h"
#include "server/commands/bench_workload.h"

namespace quire::server {
namespace {

using nlohmann::json;

constexpr std::int32_t kFewestInStep = 16;  // requests: fewer say nothing of a rate

std::string write(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// The first model that the server names. Also proves, before the load, that there is a server.
std::string model_name(const BenchOptions& options) {
  const Result<HttpAnswer> answer = exchange(options, "/v1/models", "");
  if (!answer)
    throw StartupError("bench: " + options.url.authority + ": " + answer.error().message);
  if (!options.model.empty()) return options.model;
  const json body = json::parse(answer->body, nullptr, false);
  const json::json_pointer first("/data/0/id");
  if (answer->status != 200 || !body.is_object() || !body.contains(first) ||
      !body[first].is_string()) {
    throw StartupError("bench: /v1/models names no model (HTTP status " +
                       std::to_string(answer->status) + "); use --model");
  }
  return body[first].get<std::string>();
}

std::optional<std::int64_t> count_tokens(const BenchOptions& options, const std::string& model,
                                         std::string_view text) {
  const json body{{"model", model}, {"prompt", text}};
  const Result<HttpAnswer> answer = exchange(options, "/tokenize", write(body));
  if (!answer || answer->status != 200) return std::nullopt;
  const json counted = json::parse(answer->body, nullptr, false);
  const auto count = counted.is_object() ? counted.find("count") : counted.end();
  if (!counted.is_object() || count == counted.end() || !count->is_number_unsigned()) {
    return std::nullopt;
  }
  return count->get<std::int64_t>();
}

// Each request in flight takes a socket, and many systems begin at 1,024 open files.
void allow_many_sockets() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);  // where it is refused, the sockets say so
}

void write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw StartupError("bench: cannot write " + path);
}

// One load, with all that is told of it.
struct Run {
  LoadResult result;
  BenchReport report;
};

Run run_once(const BenchOptions& options, const WordCosts& words) {
  const std::vector<Call> calls = make_calls(options, options.model, words);
  ProgressLine progress(calls.size());
  Run run;
  run.result = run_load(options, calls, [&](const LoadProgress& now) { progress.show(now); });
  progress.end();
  run.report = report_of(run.result, options);
  run.report.exact_prompts = words.exact();
  return run;
}

void write_files(const BenchOptions& options, const Run& run, std::span<const SweepPoint> sweep) {
  const std::span requests(run.result.requests);
  if (!options.json_file.empty()) {
    write_file(
        options.json_file,
        report_json(run.report, options.save_detailed ? requests : requests.first(0), sweep));
  }
  if (!options.report_file.empty()) {
    write_file(options.report_file, report_page(run.report, requests, sweep));
  }
}

// The options of one rate of a sweep. Each has prompts of its own: those of the rate before are in
// the server's prefix cache.
BenchOptions step_options(const BenchOptions& options, double rate, std::size_t number) {
  BenchOptions step = options;
  step.request_rate = rate;
  step.num_prompts =
      std::max(kFewestInStep, static_cast<std::int32_t>(rate * options.sweep_seconds));
  step.seed = options.seed + number;
  return step;
}

int run_sweep(const BenchOptions& options, const WordCosts& words) {
  Run shown;  // of the highest rate that kept the limits, else of the last
  std::size_t number = 0;
  const auto measure = [&](double rate) {
    std::fprintf(stderr, "%.2f requests/s\n", rate);
    Run run = run_once(step_options(options, rate, number++), words);
    const SweepPoint point = sweep_point_of(run.report);
    const bool better = point.kept && rate > shown.report.request_rate;
    if (better || !sweep_point_of(shown.report).kept) shown = std::move(run);
    return point;
  };
  const double first = options.request_rate > 0 ? options.request_rate : 1.0;
  const std::vector<SweepPoint> points = sweep(first, measure);
  std::fputs(sweep_table(points).c_str(), stdout);
  write_files(options, shown, points);
  return highest_kept_rate(points) > 0 ? 0 : 1;
}

}  // namespace

int run_bench(const BenchOptions& given) {
  allow_many_sockets();
  BenchOptions options = given;
  options.model = model_name(given);
  const WordCosts words = WordCosts::measured(
      [&](std::string_view text) { return count_tokens(options, options.model, text); });
  if (options.sweep) return run_sweep(options, words);
  const Run run = run_once(options, words);
  std::fputs(report_table(run.report).c_str(), stdout);
  write_files(options, run, {});
  return run.report.failed == 0 ? 0 : 1;
}

int run_bench(const std::vector<std::string>& args) {
  BenchOptions options;
  return parse_bench_options(args, options) ? run_bench(options) : 0;
}

}  // namespace quire::server
