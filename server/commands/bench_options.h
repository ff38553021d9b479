#pragma once
// What `quire bench` is asked to do. A plain value.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "server/commands/http_url.h"

namespace quire::server {

// What a request may take, in milliseconds; infinite where nothing was asked.
struct LatencyLimits {
  static constexpr double kNone = std::numeric_limits<double>::infinity();
  double ttft = kNone;
  double itl = kNone;  // of a request: of 99 in 100 of its gaps
  double tpot = kNone;
  double e2el = kNone;
  [[nodiscard]] bool any() const {
    return ttft < kNone || itl < kNone || tpot < kNone || e2el < kNone;
  }
};

struct BenchOptions {
  HttpUrl url;
  std::string model;  // empty: the first that /v1/models names
  bool chat = false;  // /v1/chat/completions instead of /v1/completions
  std::string api_key;
  std::int32_t timeout_seconds = 600;  // for each request

  // When requests are sent: a new one for each that ended, or at times of their own (open loop).
  std::int32_t concurrency = 16;
  double request_rate = 0;   // per second, Poisson; 0: closed loop
  bool trace_times = false;  // at the data set's timestamps
  double speedup = 1;        // of those timestamps

  // What is sent.
  std::int32_t num_prompts = 0;  // 0: 128, or the whole data set
  std::int32_t input_len = 128;  // tokens, exact where the server has /tokenize
  std::int32_t output_len = 128;
  double range_ratio = 0;          // lengths are uniform in [len * (1 - r), len * (1 + r)]
  std::int32_t prefix_len = 0;     // tokens before each prompt that several share
  std::int32_t num_prefixes = 1;   // how many such prefixes there are
  std::string dataset;             // a file; empty: random words
  double length_scale = 1;         // of the data set's lengths
  std::int32_t max_total_len = 0;  // tokens of prompt and answer; longer ones are cut; 0: no limit
  std::uint64_t seed = 0;          // of prompts and of arrivals

  // What is reported.
  LatencyLimits limits;
  bool sweep = false;  // finds the highest rate that keeps the limits
  std::int32_t sweep_seconds = 15;
  std::string json_file;       // empty: no file
  std::string report_file;     // a page of HTML; empty: no file
  bool save_detailed = false;  // the JSON also holds each request

  [[nodiscard]] bool open_loop() const { return request_rate > 0 || trace_times; }
};

// Throws UsageError; prints the help and returns false where that was asked for.
[[nodiscard]] bool parse_bench_options(const std::vector<std::string>& args, BenchOptions& options);

// Throws UsageError. A prefix ends before /v1, which requests add.
[[nodiscard]] HttpUrl parse_bench_url(std::string_view text);
// "ttft:200", "itl:50", "tpot:50", "e2el:2000" (or "e2e"). Throws UsageError.
void parse_latency_limit(std::string_view text, LatencyLimits& limits);

}  // namespace quire::server
