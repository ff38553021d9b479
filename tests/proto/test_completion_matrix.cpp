// Every field against every kind of bad value: the answer is acceptance where the table below says
// so, and otherwise status 400 with an error that names the field and fits its limit.

#include "proto/openai.h"

#include <algorithm>
#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace quire::proto {
namespace {

const RequestLimits kLimits{.vocab_size = 1000};

// Tried on every field, as they stand in the JSON text.
std::vector<std::string> pool() {
  const std::string deep = std::string(40, '[') + std::string(40, ']');
  return {"null",
          "true",
          "false",
          "0",
          "1",
          "0.5",
          "\"x\"",
          "\"1\"",
          "\"\"",
          "[]",
          "{}",
          "[1]",
          "[[1]]",
          "[null]",
          "[\"a\"]",
          "[true]",
          "[\"\"]",
          "[[]]",
          "{\"a\":1}",
          "1e999",
          "-1e999",
          "1e30",
          "-1e30",
          "NaN",
          "Infinity",
          "-Infinity",
          "9223372036854775808",
          "18446744073709551616",
          "123456789012345678901234567890",
          "-9223372036854775809",
          "-1e-999",
          "1e-999",
          "[1e999]",
          "\"\\ud800\"",
          "\"\xff\"",
          "{\"type\":1}",
          "{\"x\":1,\"x\":2}",
          deep};
}

struct Row {
  std::string name;
  std::vector<std::string> from_pool;  // those of the pool that are accepted, beside null
  std::vector<std::string> accepted;   // and these
  std::vector<std::string> refused;    // and these are not
  std::string rest = {};               // what else the request needs, `"stream":true,`
};

const std::vector<std::string> kZeroLike{"0", "1e-999", "-1e-999"};

std::vector<std::string> with(std::vector<std::string> list, const std::vector<std::string>& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

std::string bytes(std::size_t count) { return '"' + std::string(count, 's') + '"'; }

std::string biases(int count) {
  nlohmann::json object;
  for (int i = 0; i < count; ++i) object[std::to_string(i)] = 1;
  return object.dump();
}

std::vector<Row> rows() {
  const std::vector<std::string> booleans{"true", "false"};
  const std::vector<std::string> zero_to_one = with(kZeroLike, {"1", "0.5"});
  return {
      {"model", {"\"x\"", "\"1\"", "\"\""}, {}, {}},
      {"user", {"\"x\"", "\"1\"", "\"\""}, {}, {}},
      {"suffix", {"\"x\"", "\"1\"", "\"\""}, {}, {}},
      {"max_tokens", {"1"}, {"16777216", "16.0", "1e2"}, {"-1", "16777217", "2147483648", "1.5"}},
      {"max_tokens", with(kZeroLike, {"1"}), {}, {"-1"}, "\"echo\":true,"},
      {"min_tokens", with(kZeroLike, {"1"}), {"16777216"}, {"-1", "16777217"}},
      {"n", {"1"}, {"8", "8.0"}, {"9", "-1", "2147483648", "4294967297"}},
      {"best_of", {"1"}, {"2", "8"}, {"-1", "9"}},
      {"best_of", {}, {"3", "4"}, {"2", "9"}, "\"n\":3,"},
      {"temperature", zero_to_one, {"2", "2.0", "-0.0"}, {"-0.0001", "2.0001", "3"}},
      {"top_p",
       {
           "1",
           "0.5",
       },
       {"1e-60", "1.0"},
       {"-0.5", "1.0001", "0.0"}},
      {"min_p", zero_to_one, {"1.0"}, {"-0.5", "1.0001"}},
      {"top_k", with(kZeroLike, {"1"}), {"-1", "1001", "40.0", "2147483647"}, {"-2", "2147483648"}},
      {"repetition_penalty", {"1", "0.5"}, {"10"}, {"-1", "10.01"}},
      {"presence_penalty", zero_to_one, {"-2", "2"}, {"-2.01", "2.01"}},
      {"frequency_penalty", zero_to_one, {"-2", "2"}, {"-2.01", "2.01"}},
      {"seed", with(kZeroLike, {"1"}), {"-1", "9223372036854775807", "-9223372036854775808"}, {}},
      {"logprobs", with(kZeroLike, {"1"}), {"20"}, {"-1", "21"}},
      {"priority",
       with(kZeroLike, {"1"}),
       {"2147483647", "-2147483648"},
       {"2147483648", "-2147483649"}},
      {"echo", booleans, {}, {}},
      {"ignore_eos", booleans, {}, {}},
      {"stream", booleans, {}, {}},
      {"skip_special_tokens", booleans, {}, {}},
      {"add_special_tokens", booleans, {}, {}},
      {"include_stop_str_in_output", booleans, {}, {}},
      {"stop",
       {"\"x\"", "\"1\"", "[]", "[\"a\"]"},
       {bytes(256), "[\"a\",\"b\",\"c\",\"d\"]"},
       {bytes(257), "[\"a\",\"b\",\"c\",\"d\",\"e\"]",
        nlohmann::json::array({std::string(257, 's')}).dump(), "[\"a\",null]"}},
      {"stop_token_ids", {"[]", "[1]"}, {"[0,999]"}, {"[-1]", "[1000]", "[1.5]", "[\"1\"]"}},
      {"logit_bias",
       {"{}"},
       {"{\"0\":-100,\"999\":100}", biases(1000)},
       {"{\"1\":101}", "{\"1\":-100.5}", "{\"1000\":1}", "{\"-1\":1}", "{\"01\":1}", "{\"\":1}",
        "{\" 1\":1}", "{\"+1\":1}", "{\"1\":null}", "{\"1\":true}", "{\"1\":1e999}",
        "{\"1\":\"1\"}", "{\"1e2\":1}", "{\"99999999999\":1}", biases(1025)}},
      {"cache_salt", {"\"x\"", "\"1\""}, {bytes(256)}, {bytes(257)}},
      {"stream_options",
       {"{}", "{\"a\":1}", "{\"type\":1}"},
       {"{\"include_usage\":true}", "{\"include_usage\":null}"},
       {"{\"include_usage\":1}", "{\"continuous_usage_stats\":\"yes\"}"},
       "\"stream\":true,"},
      {"stream_options", {}, {}, {"{\"include_usage\":true}"}},
      {"response_format",
       {},
       {"{\"type\":\"text\"}"},
       {"{\"type\":\"json_object\"}", "{\"type\":\"json_schema\"}"}},
      {"tool_choice", {}, {"\"none\""}, {"\"auto\"", "\"required\""}},
  };
}

std::vector<std::string> not_served() {
  return {"tools",
          "functions",
          "prompt_embeds",
          "prompt_logprobs",
          "use_beam_search",
          "guided_json",
          "guided_regex",
          "guided_choice",
          "guided_grammar",
          "structured_outputs",
          "bad_words",
          "allowed_token_ids",
          "lora_name",
          "lora_request",
          "truncate_prompt_tokens",
          "messages"};
}

std::string request_with(const Row& row, const std::string& value) {
  const std::string prompt = row.name == "prompt" ? "" : R"("prompt":"a",)";
  return "{" + prompt + row.rest + "\"" + row.name + "\":" + value + "}";
}

void check_refused(const std::string& name, const std::string& body) {
  INFO(body.substr(0, 200));
  const Result<CompletionRequest> result = parse_completion(body, kLimits);
  REQUIRE_FALSE(result.ok());
  const Error& error = result.error();
  CHECK(http_status(error.code) == 400);
  CHECK(error.param.starts_with(name));
  CHECK(error.message.size() <= 512);
  const std::string wire = error_body(error);
  CHECK(wire.size() <= kMaxErrorBody);
  CHECK(nlohmann::json::parse(wire)["error"]["param"] == error.param);
}

void check_accepted(const std::string& body) {
  INFO(body.substr(0, 200));
  const Result<CompletionRequest> result = parse_completion(body, kLimits);
  if (!result.ok()) FAIL(result.error().message);
}

bool holds(const std::vector<std::string>& list, const std::string& value) {
  return std::ranges::find(list, value) != list.end();
}

void check_row(const Row& row) {
  for (const std::string& value : pool()) {
    const std::string body = request_with(row, value);
    if (value == "null" || holds(row.from_pool, value)) {
      check_accepted(body);
    } else {
      check_refused(row.name, body);
    }
  }
  for (const std::string& value : row.accepted) check_accepted(request_with(row, value));
  for (const std::string& value : row.refused) check_refused(row.name, request_with(row, value));
}

}  // namespace

TEST_CASE("every field against every kind of value") {
  for (const Row& row : rows()) check_row(row);
}

TEST_CASE("prompt against every kind of value") {
  const std::vector<std::string> accepted{"\"x\"", "\"1\"", "[1]", "[[1]]", "[\"a\"]"};
  const Row row{"prompt", accepted, {}, {}};
  for (const std::string& value : pool()) {
    const std::string body = request_with(row, value);
    if (holds(accepted, value)) {
      check_accepted(body);
    } else {
      check_refused("prompt", body);  // null means absent, and prompt is required
    }
  }
  check_refused("prompt", "{}");
}

TEST_CASE("fields that are not served are refused by name unless they ask for nothing") {
  const std::vector<std::string> nothing{"null", "false", "\"\"", "[]", "{}"};
  for (const std::string& name : not_served()) {
    const Row row{name, {"false", "\"\"", "[]", "{}"}, {}, {}};
    check_row(row);
    const auto result = parse_completion(request_with(row, "\"x\""), kLimits);
    CHECK(result.error().code == ErrorCode::kUnsupported);
    CHECK(result.error().param == name);
  }
}

TEST_CASE("unknown fields of any kind are accepted") {
  for (const std::string value : {"null", "true", "1", "\"x\"", "[]", "{}", "[{\"a\":[1]}]"}) {
    check_accepted(R"({"prompt":"a","store":)" + value + R"(,"metadata":)" + value + "}");
  }
}

TEST_CASE("every field given twice is refused by name") {
  std::vector<std::string> names = not_served();
  for (const Row& row : rows()) names.push_back(row.name);
  names.push_back("prompt");
  for (const std::string& name : names) {
    const std::string member = nlohmann::json(name).dump() + ":null";
    check_refused(name, std::string("{").append(member).append(",").append(member).append("}"));
  }
}

}  // namespace quire::proto
