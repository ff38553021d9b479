#include "server/commands/bench_sweep.h"

#include <algorithm>
#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::server {
namespace {

// A server that keeps its limits up to a capacity.
std::vector<SweepPoint> sweep_of(double capacity, double first) {
  return sweep(first, [capacity](double rate) {
    return SweepPoint{
        .rate = rate, .throughput = std::min(rate, capacity), .kept = rate <= capacity};
  });
}

}  // namespace

TEST_CASE("the highest rate is found to a tenth, from below and from above") {
  for (const double capacity : {0.3, 1.0, 7.0, 120.0, 3000.0}) {
    for (const double first : {0.5, 1.0, 64.0}) {
      INFO(capacity << " from " << first);
      const auto points = sweep_of(capacity, first);
      const double found = highest_kept_rate(points);
      CHECK(found <= capacity);
      CHECK(found * 1.1 >= capacity);
      CHECK(points.size() <= 30);
    }
  }
}

TEST_CASE("a server without limits and one that keeps none end the search") {
  CHECK(highest_kept_rate(sweep_of(1e9, 1)) > 0);
  const auto none = sweep_of(0, 1);
  CHECK(highest_kept_rate(none) == 0);
  CHECK(sweep_table(none).find("no rate that was tried") != std::string::npos);
}

TEST_CASE("a rate is kept when nothing failed and every p99 is within its limit") {
  BenchReport report{.request_rate = 5, .limits = {.ttft = 100, .itl = 10}, .ok = 10, .seconds = 2};
  report.ttft.p99 = 100;
  report.itl.p99 = 10;
  CHECK(sweep_point_of(report).kept);
  CHECK(sweep_point_of(report).throughput == 5);
  report.itl.p99 = 10.1;
  CHECK_FALSE(sweep_point_of(report).kept);
  report.itl.p99 = 10;
  report.failed = 1;
  CHECK_FALSE(sweep_point_of(report).kept);
  report = {};
  CHECK_FALSE(sweep_point_of(report).kept);  // nothing was answered
}

TEST_CASE("the table is in order of the rates") {
  const std::string table = sweep_table(sweep_of(5, 4));
  CHECK(table.find("      4.00") < table.find("      8.00"));
  CHECK(table.find("highest rate that keeps the limits") != std::string::npos);
}

}  // namespace quire::server
