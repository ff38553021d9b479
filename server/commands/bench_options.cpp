#include "server/commands/bench_options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <fstream>

#include "server/config.h"

namespace quire::server {
namespace {

// Named maxima: a mistyped option must not take the machine down.
constexpr std::int32_t kMaxConcurrency = 20'000;  // sockets
constexpr std::int32_t kMaxPrompts = 10'000'000;
constexpr std::int32_t kMaxLength = 1 << 20;        // tokens
constexpr std::int32_t kMaxTimeout = 24 * 60 * 60;  // seconds
constexpr double kMaxRate = 1e6;                    // requests per second
constexpr double kMaxLimit = 1e9;                   // milliseconds

std::string read_key(const std::string& path) {
  std::ifstream file(path);
  std::string key;
  if (!std::getline(file, key)) throw UsageError("--api-key-file: cannot read a line of " + path);
  while (!key.empty() && (key.back() == '\r' || key.back() == ' ')) key.pop_back();
  if (key.empty() || !is_printable(key)) {
    throw UsageError("--api-key-file: the first line must be a key of printable ASCII");
  }
  return key;
}

}  // namespace

HttpUrl parse_bench_url(std::string_view text) {
  HttpUrl url = parse_http_url(text);
  if (url.prefix.ends_with("/v1")) url.prefix.resize(url.prefix.size() - 3);
  return url;
}

void parse_latency_limit(std::string_view text, LatencyLimits& limits) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  double* const target = name == "ttft"                    ? &limits.ttft
                         : name == "itl"                   ? &limits.itl
                         : name == "tpot"                  ? &limits.tpot
                         : name == "e2el" || name == "e2e" ? &limits.e2el
                                                           : nullptr;
  double value = 0;
  if (target != nullptr && colon != std::string_view::npos) {
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size()) value = 0;
  }
  if (target == nullptr || !(value > 0) || value > kMaxLimit) {
    throw UsageError("--goodput: must be ttft:MS, itl:MS, tpot:MS or e2el:MS, not " +
                     std::string(text));
  }
  *target = value;
}

namespace {

// As text, before it becomes what BenchOptions holds.
struct RawFlags {
  std::string url = "http://127.0.0.1:8000";
  std::string key_file;
  std::string endpoint = "completions";
  std::vector<std::string> goodput;
};

void add_target_flags(CLI::App& app, BenchOptions& options, RawFlags& raw) {
  app.add_option("--url", raw.url, "Of the server")->capture_default_str();
  app.add_option("--model", options.model, "Default: the first of /v1/models");
  app.add_option("--endpoint", raw.endpoint, "Which API is asked")
      ->check(CLI::IsMember({"completions", "chat"}))
      ->capture_default_str();
  app.add_option("--api-key-file", raw.key_file, "Its first line is sent as the bearer key")
      ->type_name("FILE");
  app.add_option("--timeout", options.timeout_seconds, "Seconds for each request")
      ->check(CLI::Range(1, kMaxTimeout))
      ->capture_default_str();
}

void add_arrival_flags(CLI::App& app, BenchOptions& options) {
  app.add_option("--concurrency", options.concurrency,
                 "Closed loop: requests in flight, a new one for each that ended")
      ->check(CLI::Range(1, kMaxConcurrency))
      ->capture_default_str();
  app.add_option("--request-rate", options.request_rate,
                 "Open loop: requests per second, Poisson arrivals")
      ->check(CLI::Range(0.001, kMaxRate));
  app.add_flag("--trace-times", options.trace_times,
               "Open loop: requests at the timestamps of --dataset");
  app.add_option("--speedup", options.speedup, "With --trace-times: how much faster than recorded")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  app.add_option("--num-prompts", options.num_prompts,
                 "Requests in all [128, or the whole of --dataset]")
      ->check(CLI::Range(1, kMaxPrompts));
}

void add_content_flags(CLI::App& app, BenchOptions& options) {
  app.add_option("--input-len", options.input_len, "Tokens of each prompt")
      ->check(CLI::Range(1, kMaxLength))
      ->capture_default_str();
  app.add_option("--output-len", options.output_len, "Tokens of each answer")
      ->check(CLI::Range(1, kMaxLength))
      ->capture_default_str();
  app.add_option("--range-ratio", options.range_ratio,
                 "Random lengths: uniform between 1 - R and 1 + R times the two above")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--prefix-len", options.prefix_len, "Tokens before each prompt that are shared")
      ->check(CLI::Range(0, kMaxLength))
      ->capture_default_str();
  app.add_option("--num-prefixes", options.num_prefixes, "How many such prefixes there are")
      ->check(CLI::Range(1, kMaxPrompts))
      ->capture_default_str();
  app.add_option("--dataset", options.dataset,
                 "A trace: JSONL with input_length and output_length or with prompt, or Azure CSV")
      ->type_name("FILE");
  app.add_option("--length-scale", options.length_scale, "Times the lengths of --dataset")
      ->check(CLI::Range(0.0001, 1000.0))
      ->capture_default_str();
  app.add_option("--max-total-len", options.max_total_len,
                 "Cuts prompt and answer of --dataset to so many tokens together")
      ->check(CLI::Range(2, kMaxLength));
  app.add_option("--seed", options.seed, "Of prompts and arrivals")->capture_default_str();
}

void add_report_flags(CLI::App& app, BenchOptions& options, RawFlags& raw) {
  app.add_option("--goodput", raw.goodput, "Limits in milliseconds: ttft:MS itl:MS tpot:MS e2el:MS")
      ->expected(1, 4);
  app.add_flag("--sweep", options.sweep,
               "Find the highest rate at which p99 keeps the limits of --goodput");
  app.add_option("--sweep-seconds", options.sweep_seconds, "Of each rate that is tried")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  app.add_option("--json", options.json_file, "Write the figures to this file")->type_name("FILE");
  app.add_option("--report", options.report_file, "Write a page with plots to this file (HTML)")
      ->type_name("FILE");
  app.add_flag("--save-detailed", options.save_detailed, "The JSON also holds each request");
}

// What one flag alone cannot tell.
void check_together(const BenchOptions& options, const CLI::App& app) {
  const auto given = [&app](const char* flag) { return app.get_option(flag)->count() > 0; };
  if (options.open_loop() && given("--concurrency")) {
    throw UsageError(
        "--concurrency: is of the closed loop; leave out --request-rate or --trace-times");
  }
  if (!options.trace_times && given("--speedup")) {
    throw UsageError("--speedup: needs --trace-times");
  }
  if (options.sweep && !options.limits.any()) {
    throw UsageError("--sweep: needs --goodput, the limits that are to be kept");
  }
  if (options.sweep && options.trace_times) {
    throw UsageError("--sweep: chooses the arrivals itself; leave out --trace-times");
  }
  if (options.trace_times && options.dataset.empty()) {
    throw UsageError("--trace-times: needs --dataset");
  }
  if (options.trace_times && options.request_rate > 0) {
    throw UsageError("--trace-times: leave out --request-rate");
  }
}

}  // namespace

bool parse_bench_options(const std::vector<std::string>& args, BenchOptions& options) {
  CLI::App app("Measures an OpenAI-compatible server under load and checks each stream's end.",
               "quire bench");
  RawFlags raw;
  add_target_flags(app, options, raw);
  add_arrival_flags(app, options);
  add_content_flags(app, options);
  add_report_flags(app, options, raw);
  try {
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return false;
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  options.url = parse_bench_url(raw.url);
  options.chat = raw.endpoint == "chat";
  if (!raw.key_file.empty()) options.api_key = read_key(raw.key_file);
  for (const std::string& limit : raw.goodput) parse_latency_limit(limit, options.limits);
  check_together(options, app);
  return true;
}

}  // namespace quire::server
