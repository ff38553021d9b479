#pragma once
// quire bench: streamed completions or chats against any OpenAI-compatible server, in a closed
// loop, at a rate, or at a trace's times; --sweep finds the highest rate that keeps given limits.
//
// Each request asks for an exact number of tokens (ignore_eos, temperature 0) of a prompt of its
// own; each stream's end is verified. Progress on stderr, the table on stdout, --json and --report
// in files.
// Exit status 0 when every request went well (in a sweep: when some rate kept the limits), else 1.

#include <string>
#include <vector>

#include "server/commands/bench_options.h"

namespace quire::server {

[[nodiscard]] int run_bench(const BenchOptions& options);

// From the command line behind `bench`. Throws UsageError, StartupError.
[[nodiscard]] int run_bench(const std::vector<std::string>& args);

}  // namespace quire::server
