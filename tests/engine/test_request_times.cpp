// Histograms and what one sequence's life puts into them.

#include "engine/request_times.h"

#include <array>

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using namespace std::chrono_literals;

std::int64_t total(const Histogram& histogram) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i <= histogram.bounds().size(); ++i) count += histogram.count(i);
  return count;
}

TEST_CASE("a value falls into the range that it ends or lies in") {
  static constexpr std::array<double, 2> kBounds = {1.0, 2.0};
  Histogram histogram(kBounds);
  for (const double value : {0.5, 1.0, 1.5, 2.0, 2.5, 100.0}) histogram.observe(value);
  CHECK(histogram.count(0) == 2);
  CHECK(histogram.count(1) == 2);
  CHECK(histogram.count(2) == 2);
  CHECK(histogram.sum() == 107.5);
}

TEST_CASE("a sequence's times") {
  RequestHistograms all;
  const RequestTimes::Clock::time_point begin{1h};
  RequestTimes times(begin, 7);
  CHECK_FALSE(times.started());
  times.start(begin + 1s, all);
  CHECK(times.started());
  times.token(begin + 3s, all);
  times.token(begin + 4s, all);
  times.token(begin + 7s, all);
  times.end(begin + 8s, FinishReason::kLength, all);
  CHECK(all.queue_time.sum() == 1.0);
  CHECK(all.prefill_time.sum() == 2.0);
  CHECK(all.time_to_first_token.sum() == 3.0);
  CHECK(all.inter_token_latency.sum() == 4.0);
  CHECK(total(all.inter_token_latency) == 2);
  CHECK(all.decode_time.sum() == 4.0);
  CHECK(all.time_per_output_token.sum() == 2.0);
  CHECK(all.end_to_end.sum() == 8.0);
  CHECK(all.prompt_tokens.sum() == 7.0);
  CHECK(all.generation_tokens.sum() == 3.0);
  CHECK(all.largest_gap == 3.0);
}

TEST_CASE("what was aborted has tokens and no latency") {
  RequestHistograms all;
  const RequestTimes::Clock::time_point begin{1h};
  RequestTimes times(begin, 7);
  times.end(begin + 8s, FinishReason::kAbort, all);
  CHECK(total(all.end_to_end) == 0);
  CHECK(total(all.decode_time) == 0);
  CHECK(total(all.generation_tokens) == 1);
}

}  // namespace
}  // namespace quire::engine
