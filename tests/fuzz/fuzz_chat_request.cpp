// Any bytes as the body of /v1/chat/completions: the parser answers with messages, tools and values
// that keep their ranges, or with an error that fits the wire.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "proto/openai_chat.h"

namespace {

using namespace quire;
using namespace quire::proto;

const RequestLimits kLimits{.vocab_size = 512, .max_sequences = 32};

// A template relies on it: a message's content is a text, a list of texts, or an assistant's null.
void check_content(const JsonTree& message) {
  const JsonTree* content = message.find("content");
  if (content == nullptr || content->is_null()) {
    CHECK(std::get<std::string>(message.find("role")->value) == "assistant");
    return;
  }
  if (std::holds_alternative<std::string>(content->value)) return;
  const auto& parts = std::get<JsonTree::List>(content->value);
  CHECK(!parts.empty());
  for (const JsonTree& part : parts) {
    CHECK(std::get<std::string>(part.find("type")->value) == "text");
    CHECK(std::holds_alternative<std::string>(part.find("text")->value));
  }
}

void check_messages(const JsonTree& messages) {
  const auto& list = std::get<JsonTree::List>(messages.value);
  CHECK(!list.empty() && list.size() <= kMaxMessages);
  for (const JsonTree& message : list) {
    CHECK(!std::get<std::string>(message.find("role")->value).empty());
    check_content(message);
  }
}

void check_generation(const CompletionRequest& request) {
  CHECK(request.prompts.empty() && !request.echo);
  CHECK(request.n >= 1 && request.n <= kLimits.max_n);
  const SamplingParams& sampling = request.sampling;
  CHECK(sampling.temperature >= 0.0f && sampling.temperature <= 2.0f);
  CHECK(sampling.top_p > 0.0f && sampling.top_p <= 1.0f);
  CHECK(std::isfinite(sampling.repetition_penalty) && sampling.repetition_penalty > 0.0f);
  CHECK(sampling.num_logprobs >= -1 && sampling.num_logprobs <= kLimits.max_logprobs);
  CHECK(request.stop.size() <= kLimits.max_stops);
}

void check_error(const Error& error) {
  CHECK(http_status(error.code) == 400);
  const std::string body = error_body(error);
  CHECK(body.size() <= kMaxErrorBody);
  CHECK(nlohmann::json::parse(body).at("error").size() == 4);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto chat = parse_chat({reinterpret_cast<const char*>(data), size}, kLimits);
  if (!chat.ok()) {
    check_error(chat.error());
    return 0;
  }
  check_messages(chat->messages);
  check_generation(chat->generation);
  if (chat->tools) CHECK(std::get<JsonTree::List>(chat->tools->value).size() <= kMaxTools);
  for (const auto& [name, value] : std::get<JsonTree::Map>(chat->variables.value)) {
    CHECK(std::holds_alternative<bool>(value.value) || !std::get<std::string>(value.value).empty());
  }
  return 0;
}
