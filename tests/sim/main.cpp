// sim --seeds N --first S --steps M [--twice K] [--least L]: runs N simulations, seeds S, S+1, ...,
// each of M steps under faults. Every K-th seed runs twice and must leave the same trace. Exit
// status 1 at the first violation, with the seed that shows it again, or where something was
// counted less than L times.

#include <unistd.h>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "tests/sim/simulation.h"
#include "tests/sim/violation.h"

namespace {

using quire::sim::Count;
using quire::sim::Report;

struct Arguments {
  std::uint64_t seeds = 1000;
  std::uint64_t first = 1;
  std::uint64_t steps = 200;
  std::uint64_t twice = 8;
  std::uint64_t least = 0;
};

// For the signal handler: a broken CHECK of the product aborts.
volatile std::uint64_t current_seed = 0;
volatile std::uint64_t current_steps = 0;
volatile std::uint64_t steps_before = 0;  // of the seeds that are done

void say_seed_and_exit(int) {
  char line[200];
  const int length = std::snprintf(
      line, sizeof line,
      "VIOLATION within %llu steps; to see it again: sim --seeds 1 --first %llu --steps %llu\n",
      static_cast<unsigned long long>(steps_before + current_steps),
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
                                 : name == "--least" ? &arguments.least
                                                     : nullptr;
    if (value == nullptr || i + 1 == count) return false;
    const char* const end = words[i + 1] + std::strlen(words[i + 1]);
    const auto [rest, error] = std::from_chars(words[i + 1], end, *value);
    if (error != std::errc{} || rest != end) return false;
  }
  return arguments.steps <= 1'000'000'000;
}

void print(std::uint64_t seeds, Report& sum, double seconds) {
  const auto steps = sum[Count::kRunningSteps];
  std::printf("%llu seeds, %lld steps with a running sequence, %.0f per second, 0 violations\n",
              static_cast<unsigned long long>(seeds), static_cast<long long>(steps),
              static_cast<double>(steps) / seconds);
  std::fflush(stdout);
}

// Prints every count; false where one is less than `least`.
bool print_counts(Report& sum, std::int64_t least) {
  bool enough = true;
  for (std::size_t i = 0; i < sum.counts.size(); ++i) {
    const bool less = sum.counts[i] < least;
    std::printf("%14lld  %s%s\n", static_cast<long long>(sum.counts[i]),
                quire::sim::name_of(Count{static_cast<std::uint8_t>(i)}), less ? "  TOO FEW" : "");
    enough = enough && !less;
  }
  return enough;
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
    std::fprintf(stderr,
                 "usage: sim [--seeds N] [--first S] [--steps M] [--twice K] [--least L]\n");
    return 2;
  }
  std::signal(SIGABRT, say_seed_and_exit);
  Report sum;
  const std::uint64_t tenth = arguments.seeds / 10 + 1;
  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [begin] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  try {
    for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
      sum.add(run_seed(arguments.first + i, arguments));
      steps_before = static_cast<std::uint64_t>(sum[Count::kRunningSteps]);
      if ((i + 1) % tenth == 0) print(i + 1, sum, seconds());
    }
  } catch (const std::exception&) {  // said already
    say_seed_and_exit(0);
  }
  print(arguments.seeds, sum, seconds());
  return print_counts(sum, static_cast<std::int64_t>(arguments.least)) ? 0 : 1;
}
