#include "proto/openai.h"
#include "tests/proto/token_table.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace quire::proto {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
namespace fs = std::filesystem;

ResponseHead head() {
  return {.id = "cmpl-1",
          .created = 1700000000,
          .model = "m",
          .system_fingerprint = "fp_1",
          .seed = std::nullopt};
}

Choice text_choice(std::string text, FinishReason finish = FinishReason::kNone) {
  Choice choice;
  choice.text = std::move(text);
  choice.finish = finish;
  return choice;
}

std::vector<std::string> keys(const ordered_json& object) {
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) names.push_back(name);
  return names;
}

Choice choice_with_logprobs() {
  Choice choice = text_choice("Hi \u20ac", FinishReason::kStop);
  choice.with_logprobs = true;
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  choice.logprobs = {{.token = {.token = 0}, .scored = false},
                     {.token = {1, -0.5f}, .text_offset = 2, .top_begin = 0, .num_top = 2},
                     {.token = {2, kNever}, .text_offset = 3, .top_begin = 2, .num_top = 2}};
  choice.top = {{3, -0.25f}, {1, -0.5f}, {4, -0.25f}, {5, -3.0f}};
  return choice;
}

const testing::TokenTable kTexts({"Hi", " ", "\u20ac", "x", "a", "a"});

std::string completion_body(const ResponseHead& head, const std::vector<Choice>& choices,
                            const Usage& usage) {
  return testing::whole_body(AnswerForm::kCompletion, head, choices, usage, kTexts);
}

}  // namespace

TEST_CASE("a chunk has the keys of a completion, in order, and no more") {
  const std::vector<Choice> choices{text_choice("a\"b\n")};
  CHECK(completion_chunk(head(), choices, ChunkUsage::kOmit, {}, kTexts) ==
        R"({"id":"cmpl-1","object":"text_completion","created":1700000000,"model":"m",)"
        R"("system_fingerprint":"fp_1",)"
        R"("choices":[{"index":0,"text":"a\"b\n","logprobs":null,"finish_reason":null}]})");
}

TEST_CASE("usage is omitted, null or given") {
  const std::vector<Choice> choices{text_choice("a")};
  const Usage usage{.prompt_tokens = 3, .completion_tokens = 2, .cached_tokens = 1};
  const auto chunk = [&](ChunkUsage mode) {
    return json::parse(completion_chunk(head(), choices, mode, usage, kTexts));
  };
  CHECK_FALSE(chunk(ChunkUsage::kOmit).contains("usage"));
  CHECK(chunk(ChunkUsage::kNull).at("usage").is_null());
  CHECK(chunk(ChunkUsage::kGiven).at("usage").dump() ==
        R"({"completion_tokens":2,"prompt_tokens":3,"prompt_tokens_details":{"cached_tokens":1},)"
        R"("total_tokens":5})");
  const json last = json::parse(completion_chunk(head(), {}, ChunkUsage::kGiven, usage, kTexts));
  CHECK(last["choices"].dump() == "[]");
  CHECK(last["usage"]["total_tokens"] == 5);
}

TEST_CASE("a finished choice says why") {
  const auto finished = [](FinishReason finish, StopReason reason) {
    Choice choice = text_choice("", finish);
    choice.stop_reason = std::move(reason);
    return json::parse(completion_body(head(), std::vector<Choice>{choice}, {}))["choices"][0];
  };
  CHECK(finished(FinishReason::kStop, {})["finish_reason"] == "stop");
  CHECK(finished(FinishReason::kStop, {}).at("stop_reason").is_null());
  CHECK(finished(FinishReason::kStop, TokenId{7})["stop_reason"] == 7);
  CHECK(finished(FinishReason::kStop, std::string("\n\n"))["stop_reason"] == "\n\n");
  CHECK(finished(FinishReason::kLength, {})["finish_reason"] == "length");
}

TEST_CASE("logprobs are four lists of one length") {
  const std::vector<Choice> choices{choice_with_logprobs()};
  const ordered_json body = ordered_json::parse(completion_body(head(), choices, {}));
  CHECK(body["choices"][0]["logprobs"].dump() ==
        R"({"text_offset":[0,2,3],"token_logprobs":[null,-0.5,-9999.0],)"
        "\"tokens\":[\"Hi\",\" \",\"\u20ac\"],"
        R"("top_logprobs":[null,{"x":-0.25," ":-0.5},)"
        "{\"a\":-0.25,\"\u20ac\":-9999.0}]}");
}

TEST_CASE("where no alternatives were asked for, top_logprobs has the chosen token alone") {
  std::vector<Choice> choices{choice_with_logprobs()};
  for (LogprobEntry& entry : choices[0].logprobs) entry.num_top = 0;
  const json body = json::parse(completion_body(head(), choices, {}));
  CHECK(body["choices"][0]["logprobs"]["top_logprobs"].dump() ==
        "[null,{\" \":-0.5},{\"\u20ac\":-9999.0}]");
  choices[0].logprobs.clear();
  const json empty = json::parse(completion_chunk(head(), choices, ChunkUsage::kOmit, {}, kTexts));
  CHECK(empty["choices"][0]["logprobs"]["tokens"].empty());
}

TEST_CASE("an answer in pieces is the same, and no piece is much longer than asked for") {
  std::vector<Choice> choices(3, choice_with_logprobs());
  choices[1].with_logprobs = false;
  choices[2].logprobs.clear();
  for (const AnswerForm form : {AnswerForm::kCompletion, AnswerForm::kChat}) {
    const auto body = [&](std::size_t size, std::size_t* longest = nullptr) {
      return testing::whole_body(form, head(), choices, {}, kTexts, size, longest);
    };
    const std::string whole = body(1 << 20);
    CHECK(json::parse(whole)["choices"].size() == 3);
    for (const std::size_t size : {1u, 7u, 100u}) CHECK(body(size) == whole);
    const std::size_t once = whole.size();
    choices[0].logprobs.resize(20000, choices[0].logprobs[1]);
    std::size_t longest = 0;
    CHECK(body(1000, &longest).size() > 100 * once);
    CHECK(longest < 1500);
    choices[0].logprobs.resize(3);
  }
}

TEST_CASE("a whole answer has usage, choices in order, and the seed as it would be sent again") {
  ResponseHead with_seed = head();
  with_seed.seed = std::numeric_limits<std::uint64_t>::max();
  std::vector<Choice> choices{text_choice("a", FinishReason::kStop),
                              text_choice("b", FinishReason::kLength)};
  choices[1].index = 1;
  const ordered_json body = ordered_json::parse(completion_body(with_seed, choices, {4, 5, 0}));
  CHECK(keys(body) == std::vector<std::string>{"id", "object", "created", "model",
                                               "system_fingerprint", "choices", "usage", "seed"});
  CHECK(body["seed"] == -1);
  CHECK(body["choices"][1]["index"] == 1);
  CHECK(body["choices"][1]["text"] == "b");
  CHECK(body["usage"]["total_tokens"] == 9);
}

TEST_CASE("every text comes back from a chunk as it went in") {
  for (const std::string& text : {std::string("\0\x01\x1f\x7f\"\\", 6), std::string("\u2028\u0085"),
                                  std::string("data: [DONE]\n\n"), std::string(10000, '\n')}) {
    const std::vector<Choice> choices{text_choice(text)};
    const std::string line = completion_chunk(head(), choices, ChunkUsage::kOmit, {}, kTexts);
    CHECK(line.find_first_of("\r\n") == std::string::npos);
    CHECK(json::parse(line)["choices"][0]["text"] == text);
  }
}

TEST_CASE("a token is spelt as its text, or as its bytes") {
  CHECK(token_label(" cat") == " cat");
  CHECK(token_label("") == "");
  CHECK(token_label("\u20ac") == "\u20ac");
  CHECK(token_label("\xe2\x96") == R"(bytes:\xe2\x96)");
  CHECK(token_label("a\xff") == R"(bytes:\x61\xff)");
}

TEST_CASE("models and version") {
  const ModelCard card{.id = "story", .created = 5, .max_model_len = 2048};
  CHECK(model_body(card) ==
        R"({"id":"story","object":"model","created":5,"owned_by":"quire","max_model_len":2048})");
  CHECK(models_body(std::vector<ModelCard>{card, card}) ==
        R"({"object":"list","data":[)" + model_body(card) + "," + model_body(card) + "]}");
  CHECK(models_body({}) == R"({"object":"list","data":[]})");
  CHECK(json::parse(version_body())["version"] == QUIRE_VERSION);
}

// The recorded streams are chats; what a completion chunk shares with them is the frame.
TEST_CASE("chunks have the frame of recorded streams") {
  const fs::path folder = QUIRE_SOURCE_DIR "/../shared/data/openai/streams";
  if (!fs::is_directory(folder)) {
    WARN("the recorded streams are not here: skipped");
    return;
  }
  const std::vector<Choice> choices{text_choice("a")};
  const json ours = json::parse(completion_chunk(head(), choices, ChunkUsage::kOmit, {}, kTexts));
  const json last = json::parse(completion_chunk(head(), {}, ChunkUsage::kGiven, {}, kTexts));
  int chunks = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      if (!line.starts_with("data: {")) continue;
      const json theirs = json::parse(line.substr(6));
      const bool is_last = theirs["choices"].empty();
      for (const auto& [name, value] : theirs.items()) {
        INFO(name);
        const json& mine = is_last ? last : ours;
        if (name == "usage" && value.is_null()) continue;
        REQUIRE(mine.contains(name));
        CHECK(mine[name].type() == value.type());
      }
      for (const json& choice : theirs["choices"]) {
        for (const std::string name : {"index", "logprobs", "finish_reason"}) {
          CHECK(choice.contains(name) == ours["choices"][0].contains(name));
        }
      }
      ++chunks;
    }
  }
  CHECK(chunks > 20);
}

}  // namespace quire::proto
