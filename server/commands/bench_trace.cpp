#include "server/commands/bench_trace.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "server/config.h"

namespace quire::server {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxLine = std::size_t{16} << 20;
constexpr std::size_t kMaxRows = 10'000'000;
constexpr std::int64_t kMaxTokens = 1 << 24;  // of one request
constexpr std::string_view kAzureHeader = "TIMESTAMP,ContextTokens,GeneratedTokens";

[[noreturn]] void refuse(std::size_t line, const std::string& why) {
  throw UsageError("--dataset: line " + std::to_string(line) + ": " + why);
}

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Seconds since some day of "2023-11-16 18:15:46.6805900".
std::optional<double> time_of(std::string_view text) {
  constexpr std::size_t kDate = 10, kSeconds = 17;
  if (text.size() < kSeconds + 2 || text[4] != '-' || text[7] != '-' || text[13] != ':') {
    return std::nullopt;
  }
  const std::array parts{number_of<int>(text.substr(0, 4)), number_of<int>(text.substr(5, 2)),
                         number_of<int>(text.substr(8, 2)), number_of<int>(text.substr(11, 2)),
                         number_of<int>(text.substr(14, 2))};
  for (const auto& part : parts) {
    if (!part || *part < 0) return std::nullopt;
  }
  std::string_view seconds_text = text.substr(kSeconds);
  if (const auto zone = seconds_text.find('+'); zone != std::string_view::npos) {
    seconds_text = seconds_text.substr(0, zone);
  }
  const auto seconds = number_of<double>(seconds_text);
  const std::chrono::year_month_day day{std::chrono::year(*parts[0]),
                                        std::chrono::month(static_cast<unsigned>(*parts[1])),
                                        std::chrono::day(static_cast<unsigned>(*parts[2]))};
  if (!seconds || !day.ok() || text[kDate] != ' ') return std::nullopt;
  const auto days = std::chrono::sys_days(day).time_since_epoch().count();
  return static_cast<double>(days) * 86400.0 + *parts[3] * 3600.0 + *parts[4] * 60.0 + *seconds;
}

bool is_length(std::int64_t value) { return value > 0 && value <= kMaxTokens; }

TraceRow azure_row(std::string_view text, std::size_t line) {
  const std::size_t first = text.find(',');
  const std::size_t second = first == std::string_view::npos ? first : text.find(',', first + 1);
  if (second == std::string_view::npos) refuse(line, "has not three fields");
  const auto at = time_of(text.substr(0, first));
  const auto input = number_of<std::int64_t>(text.substr(first + 1, second - first - 1));
  const auto output = number_of<std::int64_t>(text.substr(second + 1));
  if (!at) refuse(line, "its time is not YYYY-MM-DD hh:mm:ss.f");
  if (!input || !output || !is_length(*input) || !is_length(*output)) {
    refuse(line, "its token counts are no positive numbers");
  }
  return {.at = *at, .input_tokens = *input, .output_tokens = *output, .blocks = {}, .prompt = {}};
}

std::int64_t integer_at(const json& row, const char* name) {
  const auto member = row.find(name);
  return member != row.end() && member->is_number_integer() ? member->get<std::int64_t>() : 0;
}

void read_blocks(const json& row, TraceRow& out, std::size_t line) {
  const auto blocks = row.find("hash_ids");
  if (blocks == row.end()) return;
  if (!blocks->is_array()) refuse(line, "hash_ids is no list");
  for (const json& block : *blocks) {
    if (!block.is_number_integer()) refuse(line, "hash_ids holds something else than integers");
    out.blocks.push_back(block.get<std::int64_t>());
  }
}

TraceRow json_row(std::string_view text, std::size_t line) {
  const json row = json::parse(text, nullptr, false);
  if (!row.is_object()) refuse(line, "is no JSON object");
  TraceRow out;
  if (const auto at = row.find("timestamp"); at != row.end()) {
    if (!at->is_number()) refuse(line, "timestamp is no number of milliseconds");
    out.at = at->get<double>() / 1000.0;
  }
  if (const auto prompt = row.find("prompt"); prompt != row.end() && prompt->is_string()) {
    out.prompt = prompt->get<std::string>();
  }
  out.input_tokens = integer_at(row, "input_length");
  for (const char* name : {"output_length", "output_tokens", "max_tokens"}) {
    if (out.output_tokens == 0) out.output_tokens = integer_at(row, name);
  }
  if (out.prompt.empty() && !is_length(out.input_tokens)) {
    refuse(line, "has neither a prompt nor an input_length");
  }
  if (out.output_tokens < 0 || out.output_tokens > kMaxTokens)
    refuse(line, "a length out of range");
  read_blocks(row, out, line);
  return out;
}

}  // namespace

std::vector<TraceRow> read_trace(std::istream& in) {
  std::vector<TraceRow> rows;
  std::string line;
  bool azure = false;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    while (line.ends_with('\r') || line.ends_with(' ')) line.pop_back();
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    if (line.size() > kMaxLine) refuse(number, "is longer than 16 MiB");
    if (number == 1 && line == kAzureHeader) {
      azure = true;
      continue;
    }
    if (line.empty()) continue;
    if (rows.size() >= kMaxRows) refuse(number, "more than 10 million requests");
    rows.push_back(azure ? azure_row(line, number) : json_row(line, number));
  }
  if (rows.empty()) throw UsageError("--dataset: holds no request");
  std::ranges::stable_sort(rows, {}, &TraceRow::at);
  const double first = rows.front().at;
  for (TraceRow& row : rows) row.at -= first;
  return rows;
}

std::vector<TraceRow> read_trace_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw UsageError("--dataset: cannot read " + path);
  return read_trace(in);
}

}  // namespace quire::server
