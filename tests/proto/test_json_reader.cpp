#include "proto/json_reader.h"
#include "proto/openai.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

namespace quire::proto {
namespace {

namespace fs = std::filesystem;
constexpr std::array<std::string_view, 2> kKnown{"alpha", "beta"};

bool reads(std::string_view text) { return read_json(text, kKnown).ok(); }

Error refusal(std::string_view text, const JsonBudget& budget = {}) {
  const Result<nlohmann::json> result = read_json(text, kKnown, budget);
  if (result.ok()) FAIL("accepted: " << text.substr(0, 80));
  return result.error();
}

std::string nested(int depth) {
  const auto count = static_cast<std::size_t>(depth);
  return std::string(count, '[') + std::string(count, ']');
}

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("what the parser below would let through is refused") {
  CHECK_FALSE(reads("\xEF\xBB\xBF{}"));
  CHECK_FALSE(reads(std::string_view("{}\0garbage", 10)));
  CHECK_FALSE(reads(std::string_view("{}\0", 3)));
  CHECK_FALSE(reads(R"({"n":1,"n":99})"));
  CHECK_FALSE(reads(R"({"a":{"n":1,"n":1}})"));
  CHECK_FALSE(reads(R"([{"n":1},{"\u006e":1,"n":2}])"));
  CHECK_FALSE(reads(nested(kMaxJsonDepth + 1)));
  CHECK_FALSE(reads(nested(100000)));
  CHECK_FALSE(reads(std::string(100000, '[')));
  CHECK(reads(nested(kMaxJsonDepth)));
  CHECK(reads(R"([{"n":1},{"n":2}])"));
}

TEST_CASE("numbers, strings and tails are strict") {
  for (const std::string_view text : {"1e999",
                                      "-1e999",
                                      "[1e400]",
                                      "NaN",
                                      "Infinity",
                                      "01",
                                      "1.",
                                      ".5",
                                      "+1",
                                      "0x1",
                                      "{}x",
                                      "{} {}",
                                      "",
                                      " ",
                                      "'a'",
                                      "/**/1",
                                      "\"\xff\"",
                                      "\"\xC0\x80\"",
                                      "\"\xED\xA0\x80\"",
                                      "\"\\ud800\"",
                                      "\"\\udc00\"",
                                      "\"\\ud800\\ud800\"",
                                      "\"\n\"",
                                      "[1,]",
                                      "{\"a\":1,}"}) {
    INFO(text);
    CHECK_FALSE(reads(text));
  }
  CHECK(reads("1e-999"));
  CHECK(reads("18446744073709551616"));
  CHECK(reads(" \t\r\n{}\n"));
}

TEST_CASE("an error names the known field it lies in, and no other") {
  CHECK(refusal(R"({"alpha":1e999})").param == "alpha");
  CHECK(refusal(R"({"alpha":1,"beta":[{"x":NaN}]})").param == "beta");
  CHECK(refusal(R"({"alpha":1,"alpha":2})").param == "alpha");
  CHECK(refusal(R"({"beta":{"x":1,"x":2}})").param == "beta");
  CHECK(refusal(R"({"gamma":1e999})").param.empty());
  CHECK(refusal(R"({"gamma":1,"gamma":2})").param.empty());
  CHECK(refusal(R"({"alpha":1} x)").param.empty());
  CHECK(refusal(R"({"alpha":1 "beta"})").param.empty());
  CHECK(refusal(R"({"gamma":{"alpha":1e999}})").param.empty());
}

TEST_CASE("a text holds no more values than its budget") {
  const JsonBudget budget{.scalars = 4, .nodes = 3};
  CHECK(read_json("[1,2,3,4]", kKnown, budget).ok());
  CHECK(refusal("[1,2,3,null,5]", budget).code == ErrorCode::kInvalidRequest);
  CHECK(read_json("[[],[]]", kKnown, budget).ok());
  CHECK_FALSE(read_json("[[],[],[]]", kKnown, budget).ok());
  CHECK_FALSE(read_json(R"(["","",""])", kKnown, budget).ok());
  CHECK_FALSE(read_json(R"({"a":1,"b":2,"c":3})", kKnown, budget).ok());
  std::string many = "[0";
  for (std::size_t i = 0; i < JsonBudget{}.scalars; ++i) many += ",0";
  CHECK_FALSE(reads(many + "]"));
}

TEST_CASE("what is read is what was written") {
  const auto value = read_json(R"({"alpha":[1,-2,3.5,"x",null,true,{"b":[]}],"beta":{}})", kKnown);
  REQUIRE(value.ok());
  CHECK(value->dump() == R"({"alpha":[1,-2,3.5,"x",null,true,{"b":[]}],"beta":{}})");
  CHECK(read_json_object("{}", kKnown).ok());
  CHECK_FALSE(read_json_object("[]", kKnown).ok());
  CHECK_FALSE(read_json_object("null", kKnown).ok());
}

TEST_CASE("JSONTestSuite") {
  const fs::path folder = QUIRE_SOURCE_DIR "/../shared/data/json";
  if (!fs::is_directory(folder)) {
    WARN("JSONTestSuite is not here: skipped");
    return;
  }
  // Valid by the grammar, and refused by rule 1 of the reader.
  const std::array<std::string, 2> duplicates{"y_object_duplicated_key.json",
                                              "y_object_duplicated_key_and_value.json"};
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".json")) continue;
    INFO(name);
    const bool ok = reads(slurp(entry.path()));
    const bool duplicate = std::ranges::find(duplicates, name) != duplicates.end();
    if (name.starts_with("y_")) CHECK(ok == !duplicate);
    if (name.starts_with("n_")) CHECK_FALSE(ok);
    ++seen;
  }
  CHECK(seen > 300);
}

}  // namespace quire::proto
