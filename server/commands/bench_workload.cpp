#include "server/commands/bench_workload.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "server/commands/bench_trace.h"

namespace quire::server {
namespace {

using nlohmann::json;

constexpr std::int32_t kDefaultPrompts = 128;

// A prompt and the length of its answer, not yet a request.
struct Piece {
  std::string prompt;
  std::int64_t output_len = 0;
  double at = 0;
};

std::string body_of(const BenchOptions& options, const std::string& model, const Piece& piece) {
  json body{{"model", model},   {"max_tokens", piece.output_len},
            {"temperature", 0}, {"ignore_eos", true},
            {"stream", true},   {"stream_options", {{"include_usage", true}}}};
  if (options.chat) {
    body["messages"] = {{{"role", "user"}, {"content", piece.prompt}}};
  } else {
    body["prompt"] = piece.prompt;
  }
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::int64_t scaled(std::int64_t length, double factor) {
  return std::max<std::int64_t>(1, std::llround(static_cast<double>(length) * factor));
}

// Uniform in [length * (1 - ratio), length * (1 + ratio)].
std::int64_t spread_length(std::int64_t length, double ratio, std::mt19937_64& random) {
  const std::int64_t low = scaled(length, 1 - ratio), high = scaled(length, 1 + ratio);
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

std::vector<Piece> random_pieces(const BenchOptions& options, const WordCosts& words,
                                 std::mt19937_64& random) {
  std::vector<std::string> prefixes;
  for (std::int32_t i = 0; options.prefix_len > 0 && i < options.num_prefixes; ++i) {
    prefixes.push_back(words.text(options.prefix_len, random));
  }
  const std::int32_t count = options.num_prompts > 0 ? options.num_prompts : kDefaultPrompts;
  std::vector<Piece> pieces;
  pieces.reserve(static_cast<std::size_t>(count));
  for (std::int32_t i = 0; i < count; ++i) {
    const std::int64_t input = spread_length(options.input_len, options.range_ratio, random);
    const std::string shared =
        prefixes.empty() ? std::string() : prefixes[static_cast<std::size_t>(i) % prefixes.size()];
    pieces.push_back({.prompt = shared + words.prompt(input, random),
                      .output_len = spread_length(options.output_len, options.range_ratio, random),
                      .at = 0});
  }
  return pieces;
}

// How many tokens a named block of the trace stands for: all are full but each row's last.
std::int64_t block_tokens(const std::vector<TraceRow>& rows) {
  std::int64_t most = 1;
  for (const TraceRow& row : rows) {
    const auto blocks = static_cast<std::int64_t>(row.blocks.size());
    if (blocks > 0) most = std::max(most, (row.input_tokens + blocks - 1) / blocks);
  }
  return most;
}

// Blocks of equal name are equal text.
std::string block_prompt(const TraceRow& row, std::int64_t length, std::int64_t block_length,
                         const WordCosts& words, std::uint64_t seed) {
  std::string text;
  std::int64_t left = length;
  for (const std::int64_t block : row.blocks) {
    if (left <= 0) break;
    std::mt19937_64 own(seed ^ (static_cast<std::uint64_t>(block) * 0x9E3779B97F4A7C15ULL));
    text += words.text(std::min(block_length, left), own);
    left -= block_length;
  }
  return text;
}

std::vector<Piece> trace_pieces(const BenchOptions& options, const WordCosts& words,
                                std::mt19937_64& random) {
  std::vector<TraceRow> rows = read_trace_file(options.dataset);
  const std::int64_t block_length = scaled(block_tokens(rows), options.length_scale);
  if (options.num_prompts > 0 && rows.size() > static_cast<std::size_t>(options.num_prompts)) {
    rows.resize(static_cast<std::size_t>(options.num_prompts));
  }
  std::vector<Piece> pieces;
  pieces.reserve(rows.size());
  for (TraceRow& row : rows) {
    Piece piece{.prompt = std::move(row.prompt),
                .output_len = row.output_tokens > 0
                                  ? scaled(row.output_tokens, options.length_scale)
                                  : options.output_len,
                .at = row.at / options.speedup};
    std::int64_t input = scaled(std::max<std::int64_t>(1, row.input_tokens), options.length_scale);
    if (options.max_total_len > 0) {
      piece.output_len = std::min<std::int64_t>(piece.output_len, options.max_total_len - 1);
      input = std::min<std::int64_t>(input, options.max_total_len - piece.output_len);
    }
    if (piece.prompt.empty()) {
      piece.prompt = row.blocks.empty()
                         ? words.prompt(input, random)
                         : block_prompt(row, input, block_length, words, options.seed);
    }
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

}  // namespace

std::vector<double> poisson_times(std::size_t count, double rate, std::mt19937_64& random) {
  std::exponential_distribution<double> gap(rate);
  std::vector<double> times(count);
  double at = 0;
  for (double& time : times) {
    time = at;
    at += gap(random);
  }
  return times;
}

std::vector<Call> make_calls(const BenchOptions& options, const std::string& model,
                             const WordCosts& words) {
  std::mt19937_64 random(options.seed);
  const std::vector<Piece> pieces = options.dataset.empty() ? random_pieces(options, words, random)
                                                            : trace_pieces(options, words, random);
  std::vector<double> times;
  if (options.request_rate > 0) times = poisson_times(pieces.size(), options.request_rate, random);
  std::vector<Call> calls;
  calls.reserve(pieces.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    calls.push_back({.at = times.empty() ? pieces[i].at : times[i],
                     .body = body_of(options, model, pieces[i])});
  }
  return calls;
}

}  // namespace quire::server
