// sim --seeds N --first S --steps M [--twice K]: runs N simulations, seeds S, S+1, ..., each of M
// steps under faults. Every K-th seed runs twice and must leave the same trace. Exit status 1 at
// the first violation, with the seed that shows it again.

#include <unistd.h>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "tests/sim/simulation.h"
#include "tests/sim/violation.h"

namespace {

using quire::sim::Report;

struct Arguments {
  std::uint64_t seeds = 1000;
  std::uint64_t first = 1;
  std::uint64_t steps = 200;
  std::uint64_t twice = 8;
};

// For the signal handler: a broken CHECK of the product aborts.
volatile std::uint64_t current_seed = 0;
volatile std::uint64_t current_steps = 0;

void say_seed_and_exit(int) {
  char line[160];
  const int length = std::snprintf(
      line, sizeof line, "VIOLATION: to see it again: sim --seeds 1 --first %llu --steps %llu\n",
      static_cast<unsigned long long>(current_seed),
      static_cast<unsigned long long>(current_steps));
  if (write(STDERR_FILENO, line, static_cast<std::size_t>(length)) < 0) _exit(2);
  _exit(1);
}

bool parse(int count, char** words, Arguments& arguments) {
  for (int i = 1; i < count; i += 2) {
    const std::string_view name = words[i];
    std::uint64_t* const value = name == "--seeds"   ? &arguments.seeds
                                 : name == "--first" ? &arguments.first
                                 : name == "--steps" ? &arguments.steps
                                 : name == "--twice" ? &arguments.twice
                                                     : nullptr;
    if (value == nullptr || i + 1 == count) return false;
    const char* const end = words[i + 1] + std::strlen(words[i + 1]);
    const auto [rest, error] = std::from_chars(words[i + 1], end, *value);
    if (error != std::errc{} || rest != end) return false;
  }
  return arguments.steps <= 1'000'000'000;
}

void add(const Report& report, Report& sum) {
  sum.steps += report.steps;
  sum.requests += report.requests;
  sum.refused += report.refused;
  sum.preemptions += report.preemptions;
  sum.guaranteed += report.guaranteed;
  sum.aborted += report.aborted;
  sum.tokens += report.tokens;
}

void print(const char* what, std::uint64_t seeds, const Report& sum) {
  std::printf(
      "%s: %llu seeds, %lld steps, %lld requests, %lld refused, %lld tokens, %lld preemptions "
      "(%lld guaranteed), %lld aborts, 0 violations\n",
      what, static_cast<unsigned long long>(seeds), static_cast<long long>(sum.steps),
      static_cast<long long>(sum.requests), static_cast<long long>(sum.refused),
      static_cast<long long>(sum.tokens), static_cast<long long>(sum.preemptions),
      static_cast<long long>(sum.guaranteed), static_cast<long long>(sum.aborted));
  std::fflush(stdout);
}

Report run_seed(std::uint64_t seed, const Arguments& arguments) {
  const auto steps = static_cast<std::int32_t>(arguments.steps);
  current_seed = seed;
  current_steps = arguments.steps;
  const Report report = quire::sim::simulate(seed, steps);
  if (arguments.twice > 0 && seed % arguments.twice == 0) {
    quire::sim::require(quire::sim::simulate(seed, steps).trace == report.trace,
                        "the same seed left another trace");
  }
  return report;
}

}  // namespace

int main(int count, char** words) {
  Arguments arguments;
  if (!parse(count, words, arguments)) {
    std::fprintf(stderr, "usage: sim [--seeds N] [--first S] [--steps M] [--twice K]\n");
    return 2;
  }
  std::signal(SIGABRT, say_seed_and_exit);
  Report sum;
  const std::uint64_t tenth = arguments.seeds / 10 + 1;
  try {
    for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
      add(run_seed(arguments.first + i, arguments), sum);
      if ((i + 1) % tenth == 0) print("sim", i + 1, sum);
    }
  } catch (const std::exception&) {  // said already
    say_seed_and_exit(0);
  }
  print("done", arguments.seeds, sum);
  return 0;
}
