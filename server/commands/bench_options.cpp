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

bool is_port(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value > 0 && value < 65536;
}

// Spaces and control characters would break the request line that is made of it.
bool is_printable(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c > '~') return false;
  }
  return true;
}

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

BenchUrl parse_bench_url(std::string text) {
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) throw UsageError("--url: must begin with http://");
  if (!is_printable(text)) throw UsageError("--url: holds a space or a control character");
  text.erase(0, kScheme.size());
  BenchUrl url;
  const std::size_t slash = text.find('/');
  if (slash != std::string::npos) url.prefix = text.substr(slash);
  while (url.prefix.ends_with('/')) url.prefix.pop_back();
  if (url.prefix.ends_with("/v1")) url.prefix.resize(url.prefix.size() - 3);
  url.authority = text.substr(0, slash);
  url.host = url.authority;
  url.port = "80";
  const std::size_t colon = url.authority.rfind(':');
  const std::size_t bracket = url.authority.rfind(']');
  if (colon != std::string::npos && (bracket == std::string::npos || colon > bracket)) {
    url.host = url.authority.substr(0, colon);
    url.port = url.authority.substr(colon + 1);
  }
  if (url.host.starts_with('[') && url.host.ends_with(']')) {
    url.host = url.host.substr(1, url.host.size() - 2);
  }
  if (url.host.empty() || !is_port(url.port)) throw UsageError("--url: needs host and port");
  return url;
}

bool parse_bench_options(const std::vector<std::string>& args, BenchOptions& options) {
  CLI::App app("Measures an OpenAI-compatible server under load and checks each stream's end.",
               "quire bench");
  std::string url = "http://127.0.0.1:8000";
  std::string key_file;
  app.add_option("--url", url, "Of the server")->capture_default_str();
  app.add_option("--model", options.model, "Default: the first of /v1/models");
  app.add_option("--concurrency", options.concurrency,
                 "Requests in flight, a new one for each ended")
      ->check(CLI::Range(1, kMaxConcurrency))
      ->capture_default_str();
  app.add_option("--num-prompts", options.num_prompts, "Requests in all")
      ->check(CLI::Range(1, kMaxPrompts))
      ->capture_default_str();
  app.add_option("--input-len", options.input_len, "Tokens of each prompt")
      ->check(CLI::Range(1, kMaxLength))
      ->capture_default_str();
  app.add_option("--output-len", options.output_len, "Tokens of each answer")
      ->check(CLI::Range(1, kMaxLength))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Of the prompts")->capture_default_str();
  app.add_option("--timeout", options.timeout_seconds, "Seconds for each request")
      ->check(CLI::Range(1, kMaxTimeout))
      ->capture_default_str();
  app.add_option("--json", options.json_file, "Write the figures to this file");
  app.add_flag("--save-detailed", options.save_detailed, "The file also holds each request");
  app.add_option("--api-key-file", key_file, "Its first line is sent as the bearer key");
  try {
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return false;
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  options.url = parse_bench_url(url);
  if (!key_file.empty()) options.api_key = read_key(key_file);
  return true;
}

}  // namespace quire::server
