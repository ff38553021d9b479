// The bodies of /tokenize and /detokenize.

#include <array>
#include <nlohmann/json.hpp>

#include "proto/field_reader.h"
#include "proto/json_reader.h"
#include "proto/json_writer.h"
#include "proto/openai.h"

namespace quire::proto {

using nlohmann::json;

Result<TokenizeRequest> parse_tokenize(std::string_view body) {
  constexpr std::array<std::string_view, 5> kNames{"model", "prompt", "add_special_tokens",
                                                   "messages", "return_token_strs"};
  Result<json> object = read_json_object(body, kNames);
  if (!object) return object.error();
  FieldReader reader(*object);
  TokenizeRequest request;
  request.model = reader.text("model");
  if (reader.find("messages") != nullptr) reader.unsupported("messages");
  if (reader.boolean("return_token_strs").value_or(false)) reader.unsupported("return_token_strs");
  if (auto prompt = reader.text("prompt")) {
    request.prompt = std::move(*prompt);
  } else {
    reader.refuse("prompt", "is required");  // a wrong type was refused before
  }
  request.add_special_tokens = reader.boolean("add_special_tokens").value_or(true);
  if (reader.failed()) return *reader.error();
  return request;
}

Result<DetokenizeRequest> parse_detokenize(std::string_view body, const RequestLimits& limits) {
  constexpr std::array<std::string_view, 2> kNames{"model", "tokens"};
  Result<json> object = read_json_object(body, kNames);
  if (!object) return object.error();
  FieldReader reader(*object);
  DetokenizeRequest request;
  request.model = reader.text("model");
  const json* tokens = reader.find("tokens");
  if (tokens != nullptr && tokens->is_array()) {
    request.tokens = reader.token_ids_at(*tokens, "tokens", limits.vocab_size);
  } else {
    reader.refuse("tokens", "must be a list of token ids");
  }
  if (reader.failed()) return *reader.error();
  return request;
}

std::string tokenize_body(std::span<const TokenId> tokens, std::int64_t max_model_len) {
  std::string body;
  JsonWriter json_out(body);
  json_out.begin_object();
  json_out.key("count").integer(static_cast<std::int64_t>(tokens.size()));
  json_out.key("max_model_len").integer(max_model_len);
  json_out.key("tokens").begin_array();
  for (const TokenId token : tokens) json_out.integer(token);
  json_out.end_array();
  json_out.key("token_strs").null();
  json_out.end_object();
  return body;
}

std::string detokenize_body(std::string_view text) {
  std::string body;
  JsonWriter(body).begin_object().key("prompt").text(text).end_object();
  return body;
}

}  // namespace quire::proto
