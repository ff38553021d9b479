#pragma once
// quire bench: a closed loop of streamed completions against any OpenAI-compatible server.
//
// Each request asks for exactly --output-len tokens (ignore_eos, temperature 0) of a prompt of its
// own; each stream's end is verified. Progress on stderr, the table on stdout, --json in a file.
// Exit status 0 when every request went well, else 1.

#include <string>
#include <vector>

#include "server/commands/bench_options.h"

namespace quire::server {

[[nodiscard]] int run_bench(const BenchOptions& options);

// From the command line behind `bench`. Throws UsageError, StartupError.
[[nodiscard]] int run_bench(const std::vector<std::string>& args);

}  // namespace quire::server
