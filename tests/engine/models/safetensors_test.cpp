#include "engine/weights/safetensors.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/engine/models/support.h"

namespace quire::engine {
namespace {

using test::as_bytes;
using test::safetensors_file;

Result<std::vector<SafetensorsEntry>> parse(std::string_view file) {
  return parse_safetensors(as_bytes(file));
}

std::string problem_of(std::string_view header, std::size_t data_bytes) {
  const auto parsed = parse(safetensors_file(header, data_bytes));
  return parsed.ok() ? "" : parsed.error().param + ": " + parsed.error().message;
}

constexpr std::string_view kTwoTensors =
    R"({"__metadata__":{"format":"pt","k":"v"},)"
    R"("a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("b":{"shape":[4],"data_offsets":[24,32],"dtype":"BF16"}})";

// What parse_safetensors() promises about a result.
void check_rules(const std::vector<SafetensorsEntry>& entries, std::size_t file_bytes) {
  if (entries.empty()) return;
  for (std::size_t i = 1; i < entries.size(); ++i) {
    REQUIRE(entries[i - 1].end == entries[i].begin);
  }
  REQUIRE(entries.back().end == static_cast<std::int64_t>(file_bytes));
}

}  // namespace

TEST_CASE("safetensors: two tensors with metadata, offsets from the start of the file") {
  const std::string file = safetensors_file(kTwoTensors, 32);
  const auto parsed = parse(file);
  REQUIRE(parsed.ok());
  REQUIRE(parsed->size() == 2);
  const SafetensorsEntry& a = (*parsed)[0];
  CHECK(a.name == "a");
  CHECK(a.type->dtype == DType::kFloat32);
  CHECK(a.rank == 2);
  CHECK(a.shape[1] == 3);
  CHECK(a.begin == static_cast<std::int64_t>(file.size()) - 32);
  check_rules(*parsed, file.size());
}

TEST_CASE("safetensors: an empty header, a scalar, an empty tensor and trailing spaces are legal") {
  CHECK(problem_of("{}", 0).empty());
  CHECK(problem_of("{}      ", 0).empty());
  CHECK(problem_of(R"({"__metadata__":null})", 0).empty());
  CHECK(problem_of(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4).empty());
  CHECK(problem_of(R"({"e":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]}})", 0).empty());
}

TEST_CASE("safetensors: each broken rule is refused and names its tensor") {
  const auto header = [](std::string_view dtype, std::string_view shape, std::string_view offsets) {
    return R"({"w":{"dtype":")" + std::string(dtype) + R"(","shape":)" + std::string(shape) +
           R"(,"data_offsets":)" + std::string(offsets) + "}}";
  };
  REQUIRE(problem_of(header("F32", "[2]", "[0,8]"), 8).empty());
  const std::vector<std::pair<std::string, std::string>> cases = {
      {header("F31", "[2]", "[0,8]"), "tensor w: dtype is unknown"},
      {header("F32", "[3]", "[0,8]"), "tensor w: data_offsets do not fit its shape and dtype"},
      {header("F32", "[2]", "[0,4]"), "tensor w: data_offsets do not fit its shape and dtype"},
      {header("F32", "[2]", "[4,12]"), "tensor w: data_offsets leave a hole before it"},
      {header("F32", "[2]", "[8,0]"), "tensor w: data_offsets leave a hole before it"},
      {header("F32", "[2]", "[0,16]"),
       "tensor w: data_offsets reach past the end of the file (truncated?)"},
      {header("F32", "[2]", "[0]"), "tensor w: data_offsets must have two numbers"},
      {header("F32", "[2]", "[0,8,8]"), "tensor w: data_offsets must have two numbers"},
      {header("F32", "[-2]", "[0,8]"), "tensor w: has a value of the wrong kind"},
      {header("F32", "[2.0]", "[0,8]"), "tensor w: has a value of the wrong kind"},
      {header("F32", "[\"2\"]", "[0,8]"), "tensor w: has a value of the wrong kind"},
      {header("F32", "[[2]]", "[0,8]"), "tensor w: has a value of the wrong kind"},
      {header("F32", "null", "[0,8]"), "tensor w: has a value of the wrong kind"},
      {header("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), "tensor w: shape has more than 8 dimensions"},
      {header("F4", "[3]", "[0,1]"), "tensor w: data_offsets do not fit its shape and dtype"},
      {R"({"w":{"dtype":"F32","shape":[2]}})", "tensor w: needs dtype, shape and data_offsets"},
      {R"({"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "tensor w: has a field twice"},
      {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})",
       "tensor w: has a field other than dtype, shape and data_offsets"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "tensor w: name is there twice"},
      {R"({"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "tensor w: data_offsets overlap another tensor's"},
      {R"({"w":3})", "tensor w: has a value of the wrong kind"},
      {R"({"__metadata__":{},"__metadata__":{}})", "header: __metadata__ is there twice"},
      {R"({"__metadata__":{"a":{}}})", "header: has a value of the wrong kind"},
      {"{}", "header: does not account for the last bytes of the file"},
      {"[]", "header: does not start with '{'"},
      {" {}", "header: does not start with '{'"},
      {"{} {}", "header: is not valid JSON at byte 4"},
  };
  for (const auto& [text, expected] : cases) {
    INFO(text);
    CHECK(problem_of(text, 8) == expected);
  }
}

TEST_CASE("safetensors: huge shapes and offsets are refused without memory") {
  const std::int64_t before = test::resident_bytes();
  const std::vector<std::string> numbers = {"2147483647",
                                            "2147483648",
                                            "4294967296",
                                            "4294967297",
                                            "9223372036854775807",
                                            "9223372036854775808",
                                            "18446744073709551615",
                                            "18446744073709551616",
                                            "1e30",
                                            "-1"};
  for (const std::string& number : numbers) {
    for (const char* dtype : {"F32", "BF16", "F4", "I64"}) {
      const std::string start = R"({"w":{"dtype":")" + std::string(dtype) + R"(","shape":[)";
      INFO(number << " " << dtype);
      CHECK_FALSE(problem_of(start + number + R"(],"data_offsets":[0,8]}})", 8).empty());
      CHECK_FALSE(
          problem_of(start + number + "," + number + R"(],"data_offsets":[0,8]}})", 8).empty());
      CHECK_FALSE(problem_of(start + R"(2],"data_offsets":[0,)" + number + "]}}", 8).empty());
      CHECK_FALSE(problem_of(start + R"(2],"data_offsets":[)" + number + ",8]}}", 8).empty());
    }
  }
  CHECK(test::resident_bytes() - before < (4 << 20));
}

TEST_CASE("safetensors: a header length past every limit") {
  for (const int last : {0x00, 0x7f, 0x80, 0xff}) {
    std::string file = safetensors_file("{}", 0);
    file[7] = static_cast<char>(last);
    file[6] = 1;
    const auto parsed = parse(file);
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().message == "is longer than 16 MiB");
  }
}

TEST_CASE("safetensors: truncation at every byte is an error") {
  const std::string file = safetensors_file(kTwoTensors, 32);
  for (std::size_t size = 0; size < file.size(); ++size) {
    INFO(size);
    CHECK_FALSE(parse(std::string_view(file).substr(0, size)).ok());
  }
  CHECK(parse(file).ok());
}

TEST_CASE("safetensors: every other value of every header byte is an error or a lawful file") {
  const std::string file = safetensors_file(kTwoTensors, 32);
  const std::size_t header_end = file.size() - 32;
  std::size_t refused = 0;
  for (std::size_t at = 0; at < header_end; ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = file;
      changed[at] = static_cast<char>(value);
      const auto parsed = parse(changed);
      if (parsed.ok()) {
        check_rules(*parsed, changed.size());
      } else {
        ++refused;
        REQUIRE(parsed.error().param.find('\n') == std::string::npos);
      }
    }
  }
  CHECK(refused > header_end * 128);
}

TEST_CASE("safetensors: deep nesting and long names stay within one line and bounded memory") {
  CHECK_FALSE(problem_of(std::string(100'000, '{'), 0).empty());
  CHECK_FALSE(problem_of(R"({"w":{"dtype":"F32","shape":)" + std::string(100'000, '['), 0).empty());
  const std::string name = std::string(5'000, 'x') + R"(\n\u0000)";
  const std::string problem = problem_of("{\"" + name + "\":1}", 0);
  CHECK(problem.size() < 200);
  CHECK(printable_name("a\nb\x01") == "a?b?");
}

TEST_CASE("safetensors: the fixtures of other projects, with unaligned data") {
  const auto folder = test::shared_data() / "models" / "safetensors-fixtures";
  if (!std::filesystem::exists(folder)) {
    WARN("skipped: no fixtures here");
    return;
  }
  std::size_t files = 0;
  for (const auto& item : std::filesystem::directory_iterator(folder)) {
    if (item.path().extension() != ".safetensors") continue;
    INFO(item.path());
    const std::string file = test::read_file(item.path());
    const auto parsed = parse(file);
    REQUIRE(parsed.ok());
    CHECK_FALSE(parsed->empty());
    check_rules(*parsed, file.size());
    ++files;
  }
  CHECK(files == 12);
}

}  // namespace quire::engine
