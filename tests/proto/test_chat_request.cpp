// Chat requests: what is accepted and what becomes of it, and every field against every kind of bad
// value: acceptance where the table says so, and otherwise status 400 with an error that names the
// field and fits its limit.

#include "proto/openai_chat.h"
#include "tests/proto/token_table.h"

#include <algorithm>
#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace quire::proto {
namespace {

using nlohmann::json;

const RequestLimits kLimits{.vocab_size = 1000};
const std::string kHello = R"("messages":[{"role":"user","content":"hi"}])";

Result<ChatRequest> parse(const std::string& fields) {
  return parse_chat("{" + fields + "}", kLimits);
}
Result<ChatRequest> with_hello(const std::string& fields) { return parse(kHello + "," + fields); }

// Tried on every field, as they stand in the JSON text.
std::vector<std::string> pool() {
  const std::string deep = std::string(40, '[') + std::string(40, ']');
  return {"true",
          "false",
          "0",
          "1",
          "0.5",
          "\"x\"",
          "\"\"",
          "[]",
          "{}",
          "[1]",
          "[[1]]",
          "[null]",
          "[\"a\"]",
          "[{}]",
          "{\"a\":1}",
          "1e999",
          "-1e999",
          "1e30",
          "NaN",
          "9223372036854775808",
          "-9223372036854775809",
          "\"\\ud800\"",
          "\"\xff\"",
          "{\"x\":1,\"x\":2}",
          deep};
}

struct Row {
  std::string name;
  std::vector<std::string> accepted;  // of the pool and beside it, next to null
  std::vector<std::string> refused = {};
  std::string rest = {};
};

std::vector<Row> rows() {
  const std::vector<std::string> booleans{"true", "false"};
  const std::vector<std::string> nothing{"false", "\"\"", "[]", "{}"};
  const std::string tool = R"({"type":"function","function":{"name":"f"}})";
  std::vector<Row> all{
      {"model", {"\"x\"", "\"\""}},
      {"n", {"1", "8"}, {"9", "-1"}},
      {"max_tokens", {"1", "16777216"}, {"0", "-1", "16777217"}},
      {"max_completion_tokens", {"1", "16777216"}, {"0", "-1", "16777217"}},
      {"min_tokens", {"0", "1", "16777216"}, {"-1"}},
      {"temperature", {"0", "1", "0.5", "2"}, {"2.01", "-0.01"}},
      {"top_p", {"1", "0.5"}, {"0", "1.01"}},
      {"top_k", {"0", "1", "-1"}, {"-2"}},
      {"logprobs", booleans},
      {"top_logprobs", {}, {"0", "1", "20"}},
      {"top_logprobs", {"0", "1", "20"}, {"21", "-1"}, "\"logprobs\":true,"},
      {"stream", booleans},
      {"stream_options", {}, {"{\"include_usage\":true}"}},
      {"seed", {"0", "1", "-1"}},
      {"user", {"\"x\"", "\"\""}},
      {"stop", {"\"x\"", "[]", "[\"a\"]"}, {"\"\"", "[\"a\",\"b\",\"c\",\"d\",\"e\"]"}},
      {"tools",
       {"[]", "[" + tool + "]", R"([{"type":null,"function":{"name":"f"}}])"},
       {R"([{"type":"x","function":{"name":"f"}}])", R"([{"function":{}}])",
        R"([{"function":{"name":1}}])"}},
      {"documents", {"[]", "[{}]"}},
      {"chat_template_kwargs",
       {"{}", R"({"enable_thinking":false})", R"({"reasoning_effort":"low"})"},
       {R"({"enable_thinking":"no"})", R"({"reasoning_effort":1})", R"({"tokenize":true})",
        R"({"chat_template":"x"})", R"({"messages":[]})", R"({"enable_thinking":null})"}},
      {"reasoning_effort", {"\"x\"", "\"low\""}, {"\"" + std::string(33, 'x') + "\""}},
      {"add_generation_prompt", booleans},
      {"parallel_tool_calls", booleans},
      {"modalities", {"[]", "[\"text\"]"}, {"[\"audio\"]"}},
      {"tool_choice", {"\"none\""}, {"\"auto\"", "\"required\""}},
      {"response_format", {R"({"type":"text"})"}, {R"({"type":"json_object"})"}},
      {"cache_salt", {"\"x\""}},
  };
  for (const char* name : {"chat_template", "continue_final_message", "add_special_tokens", "echo",
                           "best_of", "suffix", "prompt", "audio", "prediction", "functions",
                           "function_call", "web_search_options", "lora_name"}) {
    all.push_back({name, nothing});
  }
  return all;
}

TEST_CASE("every chat field against every kind of value") {
  for (const Row& row : rows()) {
    std::vector<std::string> values = pool();
    values.push_back("null");
    values.insert(values.end(), row.accepted.begin(), row.accepted.end());
    values.insert(values.end(), row.refused.begin(), row.refused.end());
    for (const std::string& value : values) {
      const auto got = with_hello(row.rest + "\"" + row.name + "\":" + value);
      const bool wanted =
          value == "null" || std::ranges::find(row.accepted, value) != row.accepted.end();
      CAPTURE(row.name, value, got.ok() ? "" : got.error().message);
      CHECK(got.ok() == wanted);
      if (got.ok()) continue;
      CHECK(http_status(got.error().code) == 400);
      CHECK(got.error().param.substr(0, row.name.size()) == row.name);
      CHECK(error_body(got.error()).size() <= kMaxErrorBody);
    }
  }
}

TEST_CASE("messages that are wrong are refused by their path") {
  const std::pair<std::string, std::string> cases[] = {
      {R"("messages":[])", "messages"},
      {R"("messages":null)", "messages"},
      {R"("a":1)", "messages"},
      {R"("messages":"hi")", "messages"},
      {R"("messages":[1])", "messages[0]"},
      {R"("messages":[{}])", "messages[0].role"},
      {R"("messages":[{"role":1,"content":"x"}])", "messages[0].role"},
      {R"("messages":[{"role":"","content":"x"}])", "messages[0].role"},
      {R"("messages":[{"role":"user"}])", "messages[0].content"},
      {R"("messages":[{"role":"user","content":null}])", "messages[0].content"},
      {R"("messages":[{"role":"user","content":1}])", "messages[0].content"},
      {R"("messages":[{"role":"user","content":[]}])", "messages[0].content"},
      {R"("messages":[{"role":"user","content":["x"]}])", "messages[0].content[0]"},
      {R"("messages":[{"role":"user","content":[{"text":"x"}]}])", "messages[0].content[0].type"},
      {R"("messages":[{"role":"user","content":[{"type":"text"}]}])",
       "messages[0].content[0].text"},
      {R"("messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}])",
       "messages[0].content[0]"},
      {R"("messages":[{"role":"user","content":"x"},{"role":"user","content":"x","name":1}])",
       "messages[1].name"},
      {R"("messages":[{"role":"assistant","tool_calls":{}}])", "messages[0].tool_calls"},
      {R"("messages":[{"role":"assistant","tool_calls":[{}]}])", "messages[0].tool_calls[0]"},
      {R"("messages":[{"role":"assistant","tool_calls":[{"function":{}}]}])",
       "messages[0].tool_calls[0].function.name"},
  };
  for (const auto& [fields, param] : cases) {
    const auto got = parse(fields);
    CAPTURE(fields);
    REQUIRE(!got.ok());
    CHECK(got.error().param == param);
    CHECK(http_status(got.error().code) == 400);
  }
  const std::string many = [] {
    std::string text = R"("messages":[{"role":"user","content":"x"})";
    for (std::size_t i = 0; i < kMaxMessages; ++i) text += R"(,{"role":"user","content":"x"})";
    return text + "]";
  }();
  CHECK(!parse(many).ok());
}

TEST_CASE("what a chat request becomes") {
  const auto got = parse(R"("messages":[{"z":1,"role":"user","a":2,"content":"hi"},
    {"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f",
     "arguments":"{\"b\":1,\"a\":[2.5,null]}"}},{"function":{"name":"g","arguments":"not json"}}]}],
    "max_tokens":5,"max_completion_tokens":7,"logprobs":true,"top_logprobs":3,"temperature":0,
    "reasoning_effort":"low","tools":[],"chat_template_kwargs":{"enable_thinking":false})");
  REQUIRE(got.ok());
  const ChatRequest& request = got.value();
  CHECK(request.generation.max_tokens == 7);
  CHECK(request.generation.sampling.num_logprobs == 3);
  CHECK(request.generation.temperature == 0.0f);
  CHECK(request.add_generation_prompt);
  CHECK(!request.tools);  // none at all is the same as an empty list
  CHECK(*std::get_if<bool>(&request.variables.find("enable_thinking")->value) == false);
  CHECK(*std::get_if<std::string>(&request.variables.find("reasoning_effort")->value) == "low");
  const auto& messages = std::get<JsonTree::List>(request.messages.value);
  const auto& first = std::get<JsonTree::Map>(messages[0].value);
  CHECK(first[0].key == "z");  // keys in the order in which they came
  CHECK(first[2].key == "a");
  const auto& calls = std::get<JsonTree::List>(messages[1].find("tool_calls")->value);
  const JsonTree* arguments = calls[0].find("function")->find("arguments");
  const auto* map = std::get_if<JsonTree::Map>(&arguments->value);
  REQUIRE(map != nullptr);
  CHECK(map->front().key == "b");
  CHECK(std::holds_alternative<std::string>(calls[1].find("function")->find("arguments")->value));
}

TEST_CASE("best_of and suffix of completions") {
  const auto complete = [](const std::string& fields) {
    return parse_completion("{\"prompt\":\"a\"," + fields + "}", kLimits);
  };
  CHECK(complete(R"("n":2,"best_of":4)")->best_of == 4);
  CHECK(complete(R"("n":2,"best_of":2,"stream":true)").ok());
  CHECK(complete(R"("n":2,"best_of":1)").error().param == "best_of");
  CHECK(complete(R"("best_of":2,"stream":true)").error().param == "best_of");
  CHECK(complete(R"("best_of":9)").error().param == "best_of");
  CHECK(complete(R"("suffix":"end")")->suffix == "end");
  CHECK(!complete(R"("suffix":"")")->suffix);
}

TEST_CASE("chat answers and chunks on the wire") {
  const ResponseHead head{.id = "chatcmpl-1",
                          .created = 5,
                          .model = "m",
                          .system_fingerprint = "fp",
                          .seed = std::nullopt};
  Choice choice{.index = 1,
                .text = "h\xc3\xa9",
                .finish = FinishReason::kStop,
                .stop_reason = std::string("END"),
                .with_logprobs = true,
                .logprobs = {{.token = {0, -0.5f}, .num_top = 1}},
                .top = {{1, -0.25f}}};
  const testing::TokenTable texts({"\xe2\x96", "h"});
  const Usage usage{.prompt_tokens = 3, .completion_tokens = 2, .cached_tokens = 1};
  const json body =
      json::parse(testing::whole_body(AnswerForm::kChat, head, {&choice, 1}, usage, texts));
  CHECK(body["object"] == "chat.completion");
  CHECK(body["usage"]["prompt_tokens_details"]["cached_tokens"] == 1);
  const json& told = body["choices"][0];
  CHECK(told["message"] ==
        json({{"role", "assistant"}, {"content", "h\xc3\xa9"}, {"refusal", nullptr}}));
  CHECK(told["finish_reason"] == "stop");
  CHECK(told["stop_reason"] == "END");
  const json& entry = told["logprobs"]["content"][0];
  CHECK(entry["token"] == "bytes:\\xe2\\x96");
  CHECK(entry["bytes"] == json({0xE2, 0x96}));
  CHECK(entry["logprob"] == -0.5);
  CHECK(entry["top_logprobs"][0] == json({{"token", "h"}, {"logprob", -0.25}, {"bytes", {104}}}));
  CHECK(told["logprobs"]["refusal"].is_null());

  const auto chunk = [&](ChatPart part) {
    return json::parse(chat_chunk(head, part, choice, ChunkUsage::kNull, usage, texts));
  };
  const json role = chunk(ChatPart::kRole);
  CHECK(role["object"] == "chat.completion.chunk");
  CHECK(role["choices"][0]["delta"] == json({{"role", "assistant"}, {"content", ""}}));
  CHECK(role["choices"][0]["finish_reason"].is_null());
  CHECK(role["usage"].is_null());
  const json content = chunk(ChatPart::kContent);
  CHECK(content["choices"][0]["delta"] == json({{"content", "h\xc3\xa9"}}));
  CHECK(content["choices"][0]["finish_reason"].is_null());
  CHECK(content["choices"][0]["logprobs"]["content"].size() == 1);
  const json finish = chunk(ChatPart::kFinish);
  CHECK(finish["choices"][0]["delta"] == json::object());
  CHECK(finish["choices"][0]["finish_reason"] == "stop");
  const json last = json::parse(chat_usage_chunk(head, usage));
  CHECK(last["choices"].empty());
  CHECK(last["usage"]["total_tokens"] == 5);
}

}  // namespace
}  // namespace quire::proto
