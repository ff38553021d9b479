#include "proto/openai.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <cmath>
#include <limits>
#include <string>

namespace quire::proto {
namespace {

const RequestLimits kLimits{.vocab_size = 1000};

CompletionRequest parsed(std::string_view body) {
  Result<CompletionRequest> result = parse_completion(body, kLimits);
  if (!result.ok()) FAIL(body << ": " << result.error().message);
  return std::move(result).value();
}

Error refused(std::string_view body) {
  Result<CompletionRequest> result = parse_completion(body, kLimits);
  if (result.ok()) FAIL("accepted: " << body);
  return result.error();
}

}  // namespace

TEST_CASE("a bare request holds the defaults") {
  const CompletionRequest request = parsed(R"({"prompt":"Once"})");
  CHECK_FALSE(request.model);
  REQUIRE(request.prompts.size() == 1);
  CHECK(std::get<std::string>(request.prompts[0]) == "Once");
  CHECK_FALSE(request.max_tokens);
  CHECK_FALSE(request.temperature);
  CHECK_FALSE(request.seed);
  CHECK(request.n == 1);
  CHECK(request.sampling.num_logprobs == -1);
  CHECK_FALSE(request.sampling.prompt_logprobs);
  CHECK(request.skip_special_tokens);
  CHECK(request.add_special_tokens);
  CHECK_FALSE(request.stream);
}

TEST_CASE("every field reaches its place") {
  const CompletionRequest request = parsed(R"({
      "model":"m", "prompt":"p", "max_tokens":7, "min_tokens":3, "temperature":0.5, "top_p":0.25,
      "top_k":40, "min_p":0.125, "repetition_penalty":1.5, "presence_penalty":-1,
      "frequency_penalty":2, "logit_bias":{"10":1.5,"9":-100}, "seed":-1, "logprobs":5, "n":2,
      "echo":true, "stop":["a","b"], "stop_token_ids":[5,6], "include_stop_str_in_output":true,
      "ignore_eos":true, "skip_special_tokens":false, "add_special_tokens":false, "stream":true,
      "stream_options":{"include_usage":true,"continuous_usage_stats":true}, "priority":-3,
      "cache_salt":"salt", "user":"u", "best_of":2, "suffix":""})");
  CHECK(request.model == "m");
  CHECK(request.max_tokens == 7);
  CHECK(request.sampling.max_tokens == 7);
  CHECK(request.sampling.min_tokens == 3);
  CHECK(request.temperature == 0.5f);
  CHECK(request.sampling.temperature == 0.5f);
  CHECK(request.top_p == 0.25f);
  CHECK(request.sampling.top_p == 0.25f);
  CHECK(request.top_k == 40);
  CHECK(request.sampling.top_k == 40);
  CHECK(request.min_p == 0.125f);
  CHECK(request.sampling.min_p == 0.125f);
  CHECK(request.repetition_penalty == 1.5f);
  CHECK(request.sampling.repetition_penalty == 1.5f);
  CHECK(request.sampling.presence_penalty == -1.0f);
  CHECK(request.sampling.frequency_penalty == 2.0f);
  using Bias = std::pair<TokenId, float>;
  CHECK(request.sampling.logit_bias == std::vector<Bias>{{9, -100.0f}, {10, 1.5f}});
  CHECK(request.seed == std::numeric_limits<std::uint64_t>::max());
  CHECK(request.sampling.seed == std::numeric_limits<std::uint64_t>::max());
  CHECK(request.sampling.num_logprobs == 5);
  CHECK(request.sampling.prompt_logprobs);
  CHECK(request.n == 2);
  CHECK(request.echo);
  CHECK(request.stop == std::vector<std::string>{"a", "b"});
  CHECK(request.sampling.stop_token_ids == std::vector<TokenId>{5, 6});
  CHECK(request.include_stop_str_in_output);
  CHECK(request.sampling.ignore_eos);
  CHECK_FALSE(request.skip_special_tokens);
  CHECK_FALSE(request.add_special_tokens);
  CHECK(request.stream);
  CHECK(request.include_usage);
  CHECK(request.continuous_usage_stats);
  CHECK(request.priority == -3);
  CHECK(request.cache_salt == "salt");
}

TEST_CASE("the four shapes of a prompt") {
  using Ids = std::vector<TokenId>;
  CHECK(parsed(R"({"prompt":["a","b"]})").prompts ==
        std::vector<Prompt>{std::string("a"), std::string("b")});
  CHECK(parsed(R"({"prompt":[1,2,3.0]})").prompts == std::vector<Prompt>{Ids{1, 2, 3}});
  CHECK(parsed(R"({"prompt":[[1],[2,999]]})").prompts == std::vector<Prompt>{Ids{1}, Ids{2, 999}});
  CHECK(std::get<std::string>(parsed("{\"prompt\":\"\\u0000\\ud83d\\ude00\"}").prompts[0]) ==
        std::string("\0\xF0\x9F\x98\x80", 5));
}

TEST_CASE("a bad prompt is named to the element") {
  CHECK(refused(R"({"prompt":""})").param == "prompt");
  CHECK(refused(R"({"prompt":[]})").param == "prompt");
  CHECK(refused(R"({"prompt":["a",""]})").param == "prompt[1]");
  CHECK(refused(R"({"prompt":["a",1]})").param == "prompt[1]");
  CHECK(refused(R"({"prompt":[1,"a"]})").param == "prompt[1]");
  CHECK(refused(R"({"prompt":[1,-1]})").param == "prompt[1]");
  CHECK(refused(R"({"prompt":[1000]})").param == "prompt[0]");
  CHECK(refused(R"({"prompt":[4294967297]})").param == "prompt[0]");
  CHECK(refused(R"({"prompt":[1,true]})").param == "prompt[1]");
  CHECK(refused(R"({"prompt":[[1],[]]})").param == "prompt[1]");
  CHECK(refused(R"({"prompt":[[1],2]})").param == "prompt[1]");
  CHECK(refused(R"({"prompt":[[1],[2,1000]]})").param == "prompt[1][1]");
  CHECK(refused(R"({"prompt":[null]})").param == "prompt[0]");
  CHECK(refused(R"({"prompt":[{}]})").param == "prompt[0]");
}

TEST_CASE("prompts and choices have a maximum together") {
  std::string list = "\"a\"";
  for (int i = 1; i < 128; ++i) list += ",\"a\"";
  CHECK(parsed("{\"prompt\":[" + list + "]}").prompts.size() == 128);
  CHECK(refused("{\"prompt\":[" + list + ",\"a\"]}").param == "prompt");
  CHECK(refused("{\"n\":2,\"prompt\":[" + list + "]}").param == "n");
}

TEST_CASE("rules about two fields") {
  CHECK(refused(R"({"prompt":"a","max_tokens":0})").param == "max_tokens");
  CHECK(parsed(R"({"prompt":"a","max_tokens":0,"echo":true})").max_tokens == 0);
  CHECK(refused(R"({"prompt":"a","max_tokens":4,"min_tokens":5})").param == "min_tokens");
  CHECK(parsed(R"({"prompt":"a","min_tokens":50})").sampling.min_tokens == 50);
  CHECK(refused(R"({"prompt":"a","stream_options":{}})").param == "stream_options");
  CHECK(refused(R"({"prompt":"a","stream":false,"stream_options":{}})").param == "stream_options");
  CHECK_FALSE(parsed(R"({"prompt":"a","echo":true})").sampling.prompt_logprobs);
  CHECK_FALSE(parsed(R"({"prompt":"a","logprobs":0})").sampling.prompt_logprobs);
}

TEST_CASE("numbers stay in their range when they become floats") {
  CHECK(*parsed(R"({"prompt":"a","top_p":1e-60})").top_p > 0.0f);
  CHECK(*parsed(R"({"prompt":"a","repetition_penalty":1e-300})").repetition_penalty > 0.0f);
  CHECK(*parsed(R"({"prompt":"a","temperature":1e-30})").temperature == 0.0f);
  CHECK_FALSE(std::signbit(*parsed(R"({"prompt":"a","temperature":-0.0})").temperature));
  CHECK(*parsed(R"({"prompt":"a","top_k":-1})").top_k == 0);
}

TEST_CASE("a body that is no request has no param") {
  for (const std::string_view body :
       {"", "x", "[]", "1", "\"prompt\"", "null", "{\"prompt\":\"a\"}x",
        "\xEF\xBB\xBF{\"prompt\":\"a\"}", "{\"prompt\":\"a\",}"}) {
    const Error error = refused(body);
    CHECK(error.code == ErrorCode::kInvalidRequest);
    CHECK(error.param.empty());
  }
  CHECK(refused(std::string_view("{\"prompt\":\"a\"}\0x", 16)).param.empty());
}

TEST_CASE("no error echoes the client's words") {
  const std::string marker = "SECRETMARKER";
  for (const std::string& body :
       {"{\"" + marker + "\":1,\"" + marker + "\":2}", "{\"" + marker + "\":1e999}",
        "{\"prompt\":\"a\",\"logit_bias\":{\"" + marker + "\":1}}",
        "{\"prompt\":\"a\",\"n\":\"" + marker + "\"}", "{\"prompt\":" + marker + "}",
        "{\"prompt\":\"a\",\"response_format\":{\"type\":\"" + marker + "\"}}",
        "{\"prompt\":\"" + marker + "\xff\"}"}) {
    CHECK(error_body(refused(body)).find(marker) == std::string::npos);
  }
}

}  // namespace quire::proto
