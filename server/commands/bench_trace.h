#pragma once
// Reads the public forms of request traces: when requests came, and how long they were.
//
//   JSONL  {"timestamp": ms, "input_length": n, "output_length": n, "hash_ids": [...]}  (Mooncake)
//   JSONL  {"prompt": "...", "output_length" or "max_tokens": n, "timestamp": ms}
//   CSV    TIMESTAMP,ContextTokens,GeneratedTokens                                      (Azure)
// Times are told from the first row on; rows are put in order of time.
// Throws UsageError with the line's number; a line is at most 16 MiB, a file 10 million lines.

#include <cstdint>
#include <istream>
#include <string>
#include <vector>

namespace quire::server {

struct TraceRow {
  double at = 0;  // seconds
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;    // 0: the file does not say
  std::vector<std::int64_t> blocks;  // names of its pieces: equal names are equal text
  std::string prompt;                // where the file has the text itself
};

[[nodiscard]] std::vector<TraceRow> read_trace(std::istream& in);
[[nodiscard]] std::vector<TraceRow> read_trace_file(const std::string& path);

}  // namespace quire::server
