#pragma once
// A run over its time: how many requests waited and ran, and how much was done, in equal steps.
//
// A request waits from when it was sent to its first text, and runs from there to its end. Its
// tokens are spread over its texts, which is exact for servers that send one token a text.
// Pure functions. Cost: linear in the texts.

#include <cstddef>
#include <span>
#include <vector>

#include "server/commands/bench_stream.h"

namespace quire::server {

struct Timeline {
  double step = 0;                 // seconds
  std::vector<double> waiting{};   // mean number over each step
  std::vector<double> running{};   // likewise
  std::vector<double> tokens{};    // output tokens per second
  std::vector<double> finished{};  // requests that ended well, per second
};
[[nodiscard]] Timeline timeline_of(std::span<const BenchResult> requests, double seconds,
                                   std::size_t steps);

[[nodiscard]] std::size_t most_in_flight(std::span<const BenchResult> requests);
// Over each second of the run.
[[nodiscard]] double most_tokens_per_second(std::span<const BenchResult> requests);

}  // namespace quire::server
