#include "server/commands/bench_timeline.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <numeric>

namespace quire::server {
namespace {

// Sent at 1 s, first text at 2 s, the second at 3 s, ended at 4 s.
BenchResult request() {
  BenchResult result;
  result.start = 1;
  result.first_text = 1;
  result.last_text = 2;
  result.end = 3;
  result.completion_tokens = 6;
  result.gaps = {1.0f};
  return result;
}

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace

TEST_CASE("a request waits, runs, and its tokens come with its texts") {
  const std::vector<BenchResult> requests{request()};
  const Timeline line = timeline_of(requests, 4, 4);
  CHECK(line.step == 1);
  CHECK(line.waiting == std::vector<double>{0, 1, 0, 0});
  CHECK(line.running == std::vector<double>{0, 0, 1, 1});
  CHECK(line.tokens == std::vector<double>{0, 0, 3, 3});
  CHECK(line.finished == std::vector<double>{0, 0, 0, 1});
  CHECK(most_tokens_per_second(requests) == 3);
}

TEST_CASE("however fine the steps, sums stay") {
  const std::vector<BenchResult> requests(5, request());
  for (const std::size_t steps : {1, 3, 7, 100}) {
    const Timeline line = timeline_of(requests, 4, steps);
    CHECK(sum(line.waiting) * line.step == Approx(5));
    CHECK(sum(line.running) * line.step == Approx(10));
    CHECK(sum(line.tokens) * line.step == Approx(30));
    CHECK(sum(line.finished) * line.step == Approx(5));
  }
}

TEST_CASE("requests that failed take room and bring nothing") {
  BenchResult failed = request();
  failed.failure = "x";
  const std::vector<BenchResult> requests{request(), failed};
  const Timeline line = timeline_of(requests, 4, 4);
  CHECK(line.waiting[1] == 2);
  CHECK(line.tokens[2] == 3);
  CHECK(line.finished[3] == 1);
}

TEST_CASE("most in flight") {
  std::vector<BenchResult> requests(3, request());
  requests[1].start = 3.5;
  requests[2].start = 4;  // when the first has ended
  CHECK(most_in_flight(requests) == 2);
  CHECK(most_in_flight({}) == 0);
  CHECK(most_tokens_per_second({}) == 0);
  CHECK(timeline_of({}, 0, 3).tokens == std::vector<double>{0, 0, 0});
}

}  // namespace quire::server
