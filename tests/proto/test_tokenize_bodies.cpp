#include "proto/openai.h"

#include <array>
#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <nlohmann/json.hpp>
#include <string>

namespace quire::proto {
namespace {

const RequestLimits kLimits{.vocab_size = 100};

std::string tokenize_param(std::string_view body) {
  const auto result = parse_tokenize(body);
  return result.ok() ? "accepted" : result.error().param;
}

std::string detokenize_param(std::string_view body) {
  const auto result = parse_detokenize(body, kLimits);
  return result.ok() ? "accepted" : result.error().param;
}

}  // namespace

TEST_CASE("tokenize requests") {
  const auto request = parse_tokenize(R"({"model":"m","prompt":"a","add_special_tokens":false})");
  REQUIRE(request.ok());
  CHECK(request->model == "m");
  CHECK(request->prompt == "a");
  CHECK_FALSE(request->add_special_tokens);
  CHECK(parse_tokenize(R"({"prompt":""})")->add_special_tokens);
  CHECK(tokenize_param(R"({"prompt":"a","extra":[1]})") == "accepted");
  CHECK(tokenize_param("{}") == "prompt");
  CHECK(tokenize_param(R"({"prompt":null})") == "prompt");
  CHECK(tokenize_param(R"({"prompt":["a"]})") == "prompt");
  CHECK(tokenize_param(R"({"prompt":"a","model":1})") == "model");
  CHECK(tokenize_param(R"({"prompt":"a","add_special_tokens":1})") == "add_special_tokens");
  CHECK(tokenize_param(R"({"messages":[]})") == "messages");
  CHECK(tokenize_param(R"({"prompt":"a","return_token_strs":true})") == "return_token_strs");
  CHECK(tokenize_param("[]").empty());
}

TEST_CASE("detokenize requests") {
  const auto request = parse_detokenize(R"({"tokens":[0,99,5.0]})", kLimits);
  REQUIRE(request.ok());
  CHECK(request->tokens == std::vector<TokenId>{0, 99, 5});
  CHECK(detokenize_param(R"({"tokens":[]})") == "accepted");
  CHECK(detokenize_param("{}") == "tokens");
  CHECK(detokenize_param(R"({"tokens":null})") == "tokens");
  CHECK(detokenize_param(R"({"tokens":1})") == "tokens");
  CHECK(detokenize_param(R"({"tokens":[1,100]})") == "tokens[1]");
  CHECK(detokenize_param(R"({"tokens":[-1]})") == "tokens[0]");
  CHECK(detokenize_param(R"({"tokens":[1e999]})") == "tokens");
  CHECK(detokenize_param(R"({"tokens":[1],"tokens":[2]})") == "tokens");
}

TEST_CASE("tokenize and detokenize answers") {
  const std::array<TokenId, 3> ids{1, 0, 99};
  CHECK(tokenize_body(ids, 2048) ==
        R"({"count":3,"max_model_len":2048,"tokens":[1,0,99],"token_strs":null})");
  CHECK(nlohmann::json::parse(tokenize_body({}, 1))["tokens"].empty());
  CHECK(nlohmann::json::parse(detokenize_body("a\"\n\xff"))["prompt"] == "a\"\n\xEF\xBF\xBD");
}

}  // namespace quire::proto
