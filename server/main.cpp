// quire: the command line's one way in, and the exit status's one way out.

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "proto/error.h"
#include "server/commands/commands.h"
#include "server/config.h"

#ifdef QUIRE_WITH_BENCH
#include "server/commands/bench.h"
#endif

namespace {

using namespace quire::server;

int run(const std::vector<std::string>& args) {
  const Config config = parse_command_line(args, process_environment());
  switch (config.command) {
    case Command::kServe:
      return run_serve(config.serve);
    case Command::kPlan:
      return run_plan(config.plan);
    case Command::kHealth:
      return run_health(config.health);
    case Command::kBench:
#ifdef QUIRE_WITH_BENCH
      return run_bench(config.bench_args);
#else
      throw UsageError("bench is not part of this build");
#endif
    case Command::kPrinted:
      std::fputs(config.printed.c_str(), stdout);
      return 0;
  }
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const UsageError& error) {
    std::fprintf(stderr, "quire: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "quire: %s\n", error.what());
    return 1;
  }
}
