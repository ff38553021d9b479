#include "server/commands/bench.h"

#include <sys/resource.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "proto/error.h"
#include "server/commands/bench_client.h"
#include "server/commands/bench_progress.h"
#include "server/commands/bench_prompts.h"
#include "server/commands/bench_report.h"

namespace quire::server {
namespace {

using nlohmann::json;

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

std::string request_body(const BenchOptions& options, const std::string& model,
                         const std::string& prompt) {
  return write({{"model", model},
                {"prompt", prompt},
                {"max_tokens", options.output_len},
                {"temperature", 0},
                {"ignore_eos", true},
                {"stream", true},
                {"stream_options", {{"include_usage", true}}}});
}

std::vector<std::string> request_bodies(const BenchOptions& options, const std::string& model,
                                        const WordCosts& words) {
  std::mt19937_64 random(options.seed);
  std::vector<std::string> bodies;
  bodies.reserve(static_cast<std::size_t>(options.num_prompts));
  for (std::int32_t i = 0; i < options.num_prompts; ++i) {
    bodies.push_back(request_body(options, model, words.prompt(options.input_len, random)));
  }
  return bodies;
}

// Each request in flight takes a socket, and many systems begin at 1,024 open files.
void allow_many_sockets() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);  // where it is refused, the sockets say so
}

void write_json(const BenchOptions& options, const BenchReport& report, const LoadResult& result) {
  std::ofstream file(options.json_file, std::ios::binary);
  file << report_json(
      report, options.save_detailed ? std::span(result.requests) : std::span<const BenchResult>{});
  file.close();
  if (!file) throw StartupError("bench: cannot write " + options.json_file);
}

}  // namespace

int run_bench(const BenchOptions& options) {
  allow_many_sockets();
  const std::string model = model_name(options);
  const WordCosts words = WordCosts::measured(
      [&](std::string_view text) { return count_tokens(options, model, text); });
  const std::vector<std::string> bodies = request_bodies(options, model, words);
  ProgressLine progress(bodies.size());
  const LoadResult result =
      run_load(options, bodies, [&](const LoadProgress& now) { progress.show(now); });
  progress.end();
  BenchReport report = report_of(result);
  report.model = model;
  report.concurrency = options.concurrency;
  report.exact_prompts = words.exact();
  std::fputs(report_table(report).c_str(), stdout);
  if (!options.json_file.empty()) write_json(options, report, result);
  return report.failed == 0 ? 0 : 1;
}

int run_bench(const std::vector<std::string>& args) {
  BenchOptions options;
  return parse_bench_options(args, options) ? run_bench(options) : 0;
}

}  // namespace quire::server
