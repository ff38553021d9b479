#include "server/commands/bench_report.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>

namespace quire::server {
namespace {

BenchResult good(double first, double last, std::int64_t tokens) {
  BenchResult result;
  result.prompt_tokens = 10;
  result.completion_tokens = tokens;
  result.first_text = first;
  result.last_text = last;
  result.end = last;
  result.gaps = {static_cast<float>(last - first)};
  return result;
}

BenchResult bad(std::string reason) {
  BenchResult result;
  result.failure = std::move(reason);
  result.prompt_tokens = 1000;
  result.first_text = 1000;
  return result;
}

LoadResult load() {
  return {.seconds = 2.0,
          .requests = {good(0.5, 1.5, 5), good(1.0, 2.0, 1), bad("a"), bad("a"), bad("b")}};
}

}  // namespace

TEST_CASE("percentiles are those of numpy") {
  std::vector<double> values(101);
  std::iota(values.rbegin(), values.rend(), 0.0);
  const Spread spread = spread_of(values);
  CHECK(spread.mean == Approx(50));
  CHECK(spread.p50 == Approx(50));
  CHECK(spread.p90 == Approx(90));
  CHECK(spread.p99 == Approx(99));
  CHECK(spread_of({1, 2, 3, 4}).p50 == Approx(2.5));
  CHECK(spread_of({1, 2, 3, 4}).p90 == Approx(3.7));
  CHECK(spread_of({7}).p99 == Approx(7));
  CHECK(spread_of({}).mean == 0);
}

TEST_CASE("what failed counts as failed and nowhere else") {
  const BenchReport report = report_of(load());
  CHECK(report.ok == 2);
  CHECK(report.failed == 3);
  CHECK(report.failures == std::map<std::string, std::size_t>{{"a", 2}, {"b", 1}});
  CHECK(report.input_tokens == 20);
  CHECK(report.output_tokens == 6);
  CHECK(report.ttft.mean == Approx(750));
  CHECK(report.itl.p50 == Approx(1000));
  CHECK(report.tpot.mean == Approx(250));  // of the one that has a second token
  CHECK(report.e2e.mean == Approx(1750));
}

TEST_CASE("the file has the figures, and the requests where they are asked for") {
  const LoadResult result = load();
  const nlohmann::json summary = nlohmann::json::parse(report_json(report_of(result), {}));
  CHECK(summary["output_tokens_per_s"] == 3.0);
  CHECK(summary["requests_per_s"] == 1.0);
  CHECK(summary["failures"]["a"] == 2);
  CHECK(summary["ttft_ms"]["p50"] == 750.0);
  CHECK_FALSE(summary.contains("requests"));
  const nlohmann::json detailed =
      nlohmann::json::parse(report_json(report_of(result), result.requests));
  CHECK(detailed["requests"].size() == 5);
  CHECK(detailed["requests"][0]["itl_ms"][0] == 1000.0);
  CHECK(detailed["requests"][2]["failure"] == "a");
  CHECK(nlohmann::json::accept(
      report_json(report_of({.seconds = 0, .requests = {bad("\xff")}}), {})));
}

TEST_CASE("the table names what failed and why") {
  const std::string table = report_table(report_of(load()));
  CHECK(table.find("2 ok, 3 failed") != std::string::npos);
  CHECK(table.find("2 x a\n") != std::string::npos);
  CHECK(table.find("3.0 tok/s") != std::string::npos);
  CHECK_FALSE(report_table(report_of({})).empty());
}

}  // namespace quire::server
