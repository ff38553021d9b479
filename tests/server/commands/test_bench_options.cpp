#include "server/commands/bench_options.h"
#include "server/config.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <string>

namespace quire::server {

TEST_CASE("addresses") {
  const HttpUrl plain = parse_bench_url("http://localhost:8000");
  CHECK(plain.host == "localhost");
  CHECK(plain.port == "8000");
  CHECK(plain.prefix.empty());
  CHECK(plain.authority == "localhost:8000");
  CHECK(parse_bench_url("http://example.com/").port == "80");
  CHECK(parse_bench_url("http://example.com/api/").prefix == "/api");
  CHECK(parse_bench_url("http://example.com/api/v1/").prefix == "/api");
  CHECK(parse_bench_url("http://example.com/v1").prefix.empty());
  const HttpUrl six = parse_bench_url("http://[::1]:8000/x");
  CHECK(six.host == "::1");
  CHECK(six.port == "8000");
  CHECK(six.authority == "[::1]:8000");
  CHECK(parse_bench_url("http://[::1]").port == "80");
  for (const std::string bad :
       {"", "localhost:8000", "https://localhost", "http://", "http://:80", "http://a:b",
        "http://a:0", "http://a:65536", "http://a b", "http://a/\r\nX: y", "http://a:8000:"}) {
    INFO(bad);
    CHECK_THROWS_AS(parse_bench_url(bad), UsageError);
  }
}

TEST_CASE("flags") {
  BenchOptions options;
  REQUIRE(parse_bench_options(
      {"--url", "http://h:1", "--concurrency", "1000", "--num-prompts", "2000", "--input-len", "64",
       "--output-len", "32", "--json", "out.json", "--model", "m", "--seed", "7"},
      options));
  CHECK(options.url.host == "h");
  CHECK(options.concurrency == 1000);
  CHECK(options.num_prompts == 2000);
  CHECK(options.input_len == 64);
  CHECK(options.output_len == 32);
  CHECK(options.json_file == "out.json");
  CHECK(options.model == "m");
  CHECK(options.seed == 7);
  for (const std::vector<std::string>& bad :
       std::vector<std::vector<std::string>>{{"--concurrency", "0"},
                                             {"--num-prompts", "-1"},
                                             {"--input-len", "x"},
                                             {"--unknown"},
                                             {"--output-len", "99999999999"},
                                             {"--api-key-file", "/no/such/file"},
                                             {"--endpoint", "chats"},
                                             {"--request-rate", "0"},
                                             {"--goodput", "ttft"},
                                             {"--goodput", "ttft:-1"},
                                             {"--goodput", "speed:1"},
                                             {"--sweep"},
                                             {"--trace-times"},
                                             {"--speedup", "2"},
                                             {"--concurrency", "4", "--request-rate", "2"},
                                             {"--range-ratio", "2"},
                                             {"extra"}}) {
    BenchOptions ignored;
    CHECK_THROWS_AS(parse_bench_options(bad, ignored), UsageError);
  }
}

TEST_CASE("limits") {
  BenchOptions options;
  REQUIRE(parse_bench_options({"--goodput", "ttft:200", "itl:50.5", "e2e:9000", "--sweep",
                               "--request-rate", "2.5", "--endpoint", "chat"},
                              options));
  CHECK(options.limits.ttft == 200);
  CHECK(options.limits.itl == 50.5);
  CHECK(options.limits.e2el == 9000);
  CHECK(options.limits.tpot == LatencyLimits::kNone);
  CHECK(options.open_loop());
  CHECK(options.chat);
}

}  // namespace quire::server
