#pragma once
// What `quire bench` is asked to do. A plain value.

#include <cstdint>
#include <string>
#include <vector>

namespace quire::server {

// http://host[:port][/prefix]; an IPv6 host stands in brackets.
struct BenchUrl {
  std::string host;       // without brackets
  std::string port;       // decimal
  std::string prefix;     // before /v1/...; empty or "/..." without a slash at the end
  std::string authority;  // as the Host field has it
};

struct BenchOptions {
  BenchUrl url;
  std::string model;  // empty: the first that /v1/models names
  std::int32_t concurrency = 16;
  std::int32_t num_prompts = 128;
  std::int32_t input_len = 128;        // tokens, exact where the server has /tokenize
  std::int32_t output_len = 128;       // tokens
  std::uint64_t seed = 0;              // of the prompts
  std::int32_t timeout_seconds = 600;  // for each request
  std::string json_file;               // empty: no file
  bool save_detailed = false;          // the file also holds each request
  std::string api_key;
};

// Throws UsageError; prints the help and returns false where that was asked for.
[[nodiscard]] bool parse_bench_options(const std::vector<std::string>& args, BenchOptions& options);

// Throws UsageError.
[[nodiscard]] BenchUrl parse_bench_url(std::string text);

}  // namespace quire::server
