#include "server/commands/bench_trace.h"
#include "server/commands/bench_workload.h"
#include "server/config.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

namespace quire::server {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::vector<TraceRow> rows_of(const std::string& text) {
  std::istringstream in(text);
  return read_trace(in);
}

json body_of(const Call& call) { return json::parse(call.body); }

std::string prompt_of(const Call& call) { return body_of(call)["prompt"].get<std::string>(); }

}  // namespace

TEST_CASE("rows of Mooncake's form") {
  const auto rows =
      rows_of(R"({"timestamp": 3000, "input_length": 600, "output_length": 4, "hash_ids": [7, 9]})"
              "\n\n"
              R"({"timestamp": 1000, "input_length": 10, "output_length": 6})"
              "\r\n");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].at == 0);
  CHECK(rows[0].input_tokens == 10);
  CHECK(rows[1].at == 2);
  CHECK(rows[1].output_tokens == 4);
  CHECK(rows[1].blocks == std::vector<std::int64_t>{7, 9});
}

TEST_CASE("rows of Azure's form, across midnight") {
  const auto rows = rows_of(
      "\xEF\xBB\xBFTIMESTAMP,ContextTokens,GeneratedTokens\r\n"
      "2023-11-30 23:59:59.5000000,374,44\r\n2023-12-01 00:00:01.7500000,396,109");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].input_tokens == 374);
  CHECK(rows[1].at == Approx(2.25));
  CHECK(rows[1].output_tokens == 109);
}

TEST_CASE("rows with texts of their own") {
  const auto rows = rows_of(R"({"prompt": "Once", "max_tokens": 5})");
  CHECK(rows[0].prompt == "Once");
  CHECK(rows[0].output_tokens == 5);
}

TEST_CASE("wrong rows are refused with their line") {
  const std::string azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  for (const std::string& bad :
       {std::string(), std::string("\n\n"), std::string("[1]"), std::string("{}"),
        std::string(R"({"input_length": -1})"), std::string(R"({"input_length": 1e9})"),
        std::string(R"({"timestamp": "x", "input_length": 5})"),
        std::string(R"({"input_length": 5, "hash_ids": [0.5]})"),
        std::string(R"({"input_length": 5, "output_length": 99999999999})"), azure,
        azure + "2023-13-01 00:00:00.0,1,1", azure + "2023-11-16 18:15:46.0,1",
        azure + "2023-11-16 18:15:46.0,0,1", azure + "2023-11-16 18:15:46.0,1,x",
        azure + "yesterday,1,1", std::string("a,b,c\n1,2,3")}) {
    INFO(bad);
    CHECK_THROWS_AS(rows_of(bad), UsageError);
  }
  CHECK_THROWS_AS(read_trace_file("/no/such/file"), UsageError);
}

TEST_CASE("random calls: lengths in range, the same for the same seed") {
  BenchOptions options;
  options.num_prompts = 50;
  options.output_len = 100;
  options.range_ratio = 0.5;
  const auto calls = make_calls(options, "m", WordCosts::estimated());
  REQUIRE(calls.size() == 50);
  std::set<std::int64_t> lengths;
  for (const Call& call : calls) {
    const auto length = body_of(call)["max_tokens"].get<std::int64_t>();
    CHECK(length >= 50);
    CHECK(length <= 150);
    lengths.insert(length);
    CHECK(body_of(call)["stream_options"]["include_usage"] == true);
  }
  CHECK(lengths.size() > 10);
  CHECK(make_calls(options, "m", WordCosts::estimated())[49].body == calls[49].body);
  options.seed = 1;
  CHECK(make_calls(options, "m", WordCosts::estimated())[49].body != calls[49].body);
}

TEST_CASE("shared prefixes are shared, and what follows is not") {
  BenchOptions options;
  options.num_prompts = 6;
  options.prefix_len = 40;
  options.num_prefixes = 2;
  std::mt19937_64 random(options.seed);
  const std::string prefix = WordCosts::estimated().text(40, random);
  const auto calls = make_calls(options, "m", WordCosts::estimated());
  CHECK(prompt_of(calls[0]).starts_with(prefix));
  CHECK(prompt_of(calls[2]).starts_with(prefix));
  CHECK_FALSE(prompt_of(calls[1]).starts_with(prefix));
  CHECK(prompt_of(calls[0]) != prompt_of(calls[2]));
}

TEST_CASE("Poisson arrivals ascend, with the asked mean, from the seed") {
  std::mt19937_64 random(3), again(3);
  const auto times = poisson_times(20000, 50, random);
  CHECK(times.front() == 0);
  CHECK(std::is_sorted(times.begin(), times.end()));
  CHECK(times.back() == Approx(400).epsilon(0.03));  // of this seed: nothing here is by chance
  CHECK(poisson_times(20000, 50, again) == times);
}

TEST_CASE("the public traces become calls") {
  const fs::path folder = fs::path(QUIRE_SOURCE_DIR) / "../shared/data/traces";
  if (!fs::exists(folder)) {
    WARN("skipped: no " << folder);
    return;
  }
  BenchOptions options;
  options.trace_times = true;
  options.dataset = folder / "azure_2023_conv.csv";
  options.num_prompts = 200;
  options.speedup = 10;
  const auto azure = make_calls(options, "m", WordCosts::estimated());
  CHECK(azure.size() == 200);
  CHECK(azure[1].at == Approx(0.4314489).epsilon(1e-4));
  CHECK(body_of(azure[0])["max_tokens"] == 44);

  options.dataset = folder / "mooncake_synthetic.jsonl";
  options.length_scale = 1.0 / 32;
  options.max_total_len = 1024;
  options.num_prompts = 400;
  const auto mooncake = make_calls(options, "m", WordCosts::estimated());
  std::map<std::string, int> beginnings;  // the first block is shared by name
  for (const Call& call : mooncake) ++beginnings[prompt_of(call).substr(0, 24)];
  CHECK(beginnings.size() < mooncake.size());
}

}  // namespace quire::server
