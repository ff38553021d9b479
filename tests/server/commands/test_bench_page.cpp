#include "server/commands/bench_chart.h"
#include "server/commands/bench_page.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <string>

namespace quire::server {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

LoadResult load() {
  BenchResult good;
  good.completion_tokens = 2;
  good.first_text = 0.5;
  good.last_text = 1;
  good.end = 1;
  good.gaps = {0.5f};
  BenchResult bad;
  bad.failure = "<script>alert(1)</script>";
  return {.seconds = 1, .requests = {good, good, bad}};
}

}  // namespace

TEST_CASE("the page stands alone and escapes what servers say") {
  const LoadResult result = load();
  BenchReport report = report_of(result, {});
  report.model = "a<b>&\"c\"";
  const std::string page = report_page(report, result.requests, {});
  CHECK(count(page, "<svg") == 7);
  CHECK(count(page, "<svg") == count(page, "</svg>"));
  CHECK(count(page, "<figure") == count(page, "</figure>"));
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("http") == std::string::npos);
  CHECK(page.find("url(") == std::string::npos);
  CHECK(page.find("a&lt;b&gt;&amp;&quot;c&quot;") != std::string::npos);
  CHECK(page.find("prefers-color-scheme: dark") != std::string::npos);
  CHECK(page.find("nan") == std::string::npos);
}

TEST_CASE("a sweep has its own charts and its answer") {
  const LoadResult result = load();
  const std::vector<SweepPoint> points{{.rate = 8, .kept = false}, {.rate = 4, .kept = true}};
  const std::string page = report_page(report_of(result, {}), result.requests, points);
  CHECK(count(page, "<svg") == 10);
  CHECK(page.find("4 requests per second keep the limits") != std::string::npos);
}

TEST_CASE("a run without any answer is a page too") {
  const std::string page = report_page(report_of({}, {}), {}, {});
  CHECK(count(page, "<svg") == 7);
  CHECK(page.find("nan") == std::string::npos);
  CHECK(page.find("inf<") == std::string::npos);
}

TEST_CASE("ticks are even, begin at 0 and reach the most") {
  CHECK(even_ticks(10, 5) == std::vector<double>{0, 2, 4, 6, 8, 10});
  CHECK(even_ticks(0, 5) == std::vector<double>{0, 1});
  for (const double most : {0.003, 0.7, 1.0, 13.0, 99.0, 101.0, 12345.0}) {
    const std::vector<double> ticks = even_ticks(most, 5);
    CHECK(ticks.front() == 0);
    CHECK(ticks.back() >= most * (1 - 1e-9));
    CHECK(ticks.size() <= 7);
  }
}

TEST_CASE("numbers are short") {
  CHECK(number_text(0.25) == "0.25");
  CHECK(number_text(1300) == "1,300");
  CHECK(number_text(1007) == "1,007");
  CHECK(number_text(25000) == "25k");
  CHECK(number_text(2.5e6) == "2.5M");
}

}  // namespace quire::server
