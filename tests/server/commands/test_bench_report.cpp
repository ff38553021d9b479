#include "server/commands/bench_json.h"
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

BenchOptions at_a_time(std::int32_t concurrency) {
  BenchOptions options;
  options.concurrency = concurrency;
  return options;
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
  const BenchReport report = report_of(load(), {});
  CHECK(report.ok == 2);
  CHECK(report.failed == 3);
  CHECK(report.failures == std::map<std::string, std::size_t>{{"a", 2}, {"b", 1}});
  CHECK(report.input_tokens == 20);
  CHECK(report.output_tokens == 6);
  CHECK(report.ttft.mean == Approx(750));
  CHECK(report.itl.p50 == Approx(1000));
  CHECK(report.tpot.mean == Approx(250));  // of the one that has a second token
  CHECK(report.e2el.mean == Approx(1750));
}

TEST_CASE("the file has vLLM's names, and the requests where they are asked for") {
  const LoadResult result = load();
  const nlohmann::json summary =
      nlohmann::json::parse(report_json(report_of(result, at_a_time(3)), {}, {}));
  CHECK(summary["output_throughput"] == 3.0);
  CHECK(summary["request_throughput"] == 1.0);
  CHECK(summary["total_token_throughput"] == 13.0);
  CHECK(summary["completed"] == 2);
  CHECK(summary["failed"] == 3);
  CHECK(summary["failures"]["a"] == 2);
  CHECK(summary["median_ttft_ms"] == 750.0);
  CHECK(summary["max_concurrency"] == 3);
  CHECK(summary["request_rate"] == "inf");
  CHECK(summary["request_goodput"].is_null());
  for (const std::string name : {"ttft", "tpot", "itl", "e2el"}) {
    for (const std::string kind : {"mean_", "median_", "std_", "p50_", "p90_", "p99_"}) {
      CHECK(summary.contains(kind + name + "_ms"));
    }
  }
  CHECK_FALSE(summary.contains("ttfts"));
  const nlohmann::json detailed =
      nlohmann::json::parse(report_json(report_of(result, {}), result.requests, {}));
  CHECK(detailed["ttfts"].size() == 5);
  CHECK(detailed["itls"][0][0] == 1.0);
  CHECK(detailed["errors"][2] == "a");
  const LoadResult odd{.seconds = 0, .requests = {bad("\xff")}};
  CHECK(nlohmann::json::accept(report_json(report_of(odd, {}), {}, {})));
}

TEST_CASE("goodput counts what kept every limit") {
  const auto good_of = [](LatencyLimits limits) {
    BenchOptions options;
    options.limits = limits;
    return report_of(load(), options).good;
  };
  CHECK(good_of({}) == 2);
  CHECK(good_of({.ttft = 600}) == 1);
  CHECK(good_of({.ttft = 499}) == 0);
  CHECK(good_of({.itl = 999}) == 0);
  CHECK(good_of({.itl = 1000}) == 2);
  CHECK(good_of({.tpot = 249}) == 1);  // the other has no second token
  CHECK(good_of({.e2el = 1500}) == 1);
  CHECK(good_of({.ttft = 600, .e2el = 1400}) == 0);
}

TEST_CASE("the table names what failed and why") {
  const std::string table = report_table(report_of(load(), {}));
  CHECK(table.find("2 ok, 3 failed") != std::string::npos);
  CHECK(table.find("2 x a\n") != std::string::npos);
  CHECK(table.find("3.0 tok/s") != std::string::npos);
  CHECK_FALSE(report_table(report_of({}, {})).empty());
}

}  // namespace quire::server
