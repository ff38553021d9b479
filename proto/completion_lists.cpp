#include "proto/completion_lists.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

namespace quire::proto {
namespace {

using nlohmann::json;

constexpr std::string_view kPromptShape =
    "must be a non-empty string, a list of non-empty strings, a list of token ids, or a list of "
    "such lists";

void read_text_prompts(FieldReader& reader, json& list, CompletionRequest& request) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_string() || list[i].get_ref<const std::string&>().empty()) {
      return reader.refuse(element("prompt", i), "must be a non-empty string, as the first is");
    }
    request.prompts.emplace_back(std::move(list[i].get_ref<std::string&>()));
  }
}

void read_token_prompts(FieldReader& reader, const json& list, const RequestLimits& limits,
                        CompletionRequest& request) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string param = element("prompt", i);
    if (!list[i].is_array() || list[i].empty()) {
      return reader.refuse(param, "must be a non-empty list of token ids, as the first is");
    }
    request.prompts.emplace_back(reader.token_ids_at(list[i], param, limits.vocab_size));
    if (reader.failed()) return;
  }
}

void read_prompt_list(FieldReader& reader, json& list, const RequestLimits& limits,
                      CompletionRequest& request) {
  if (list.empty()) return reader.refuse("prompt", "must not be empty");
  if (list[0].is_number()) {  // one prompt, already encoded
    request.prompts.emplace_back(reader.token_ids_at(list, "prompt", limits.vocab_size));
    return;
  }
  if (list.size() > static_cast<std::size_t>(limits.max_prompts)) {
    return reader.refuse("prompt",
                         "must hold at most " + std::to_string(limits.max_prompts) + " prompts");
  }
  if (list[0].is_string()) return read_text_prompts(reader, list, request);
  if (list[0].is_array()) return read_token_prompts(reader, list, limits, request);
  reader.refuse(element("prompt", 0), "must be a string, a token id or a list of token ids");
}

void add_stop(FieldReader& reader, json& value, std::string_view param, const RequestLimits& limits,
              CompletionRequest& request) {
  if (value.is_string()) {
    auto& text = value.get_ref<std::string&>();
    if (!text.empty() && text.size() <= limits.max_stop_bytes) {
      request.stop.push_back(std::move(text));
      return;
    }
  }
  reader.refuse(param,
                "must be a string of 1 to " + std::to_string(limits.max_stop_bytes) + " bytes");
}

// A token id as JSON spells it in a key: decimal digits only, no leading zero, so that two keys
// are never the same id.
std::optional<TokenId> token_id_of(std::string_view key, std::int32_t vocab_size) {
  TokenId id = 0;
  const char* const end = key.data() + key.size();
  const auto [stopped, error] = std::from_chars(key.data(), end, id);
  if (error != std::errc{} || stopped != end || id < 0 || id >= vocab_size) return std::nullopt;
  if (key[0] == '-' || (key[0] == '0' && key.size() > 1)) return std::nullopt;
  return id;
}

}  // namespace

void read_prompts(FieldReader& reader, const RequestLimits& limits, CompletionRequest& request) {
  json* value = reader.find("prompt");
  if (value == nullptr) return reader.refuse("prompt", "is required");
  if (value->is_array()) return read_prompt_list(reader, *value, limits, request);
  if (!value->is_string() || value->get_ref<const std::string&>().empty()) {
    return reader.refuse("prompt", kPromptShape);
  }
  request.prompts.emplace_back(std::move(value->get_ref<std::string&>()));
}

void read_stop(FieldReader& reader, const RequestLimits& limits, CompletionRequest& request) {
  json* value = reader.find("stop");
  if (value == nullptr) return;
  if (!value->is_array()) return add_stop(reader, *value, "stop", limits, request);
  if (value->size() > limits.max_stops) {
    return reader.refuse("stop",
                         "must hold at most " + std::to_string(limits.max_stops) + " strings");
  }
  for (std::size_t i = 0; i < value->size(); ++i) {
    add_stop(reader, (*value)[i], element("stop", i), limits, request);
  }
}

void read_stop_token_ids(FieldReader& reader, const RequestLimits& limits,
                         CompletionRequest& request) {
  const json* value = reader.find("stop_token_ids");
  if (value == nullptr) return;
  if (!value->is_array() || value->size() > limits.max_stop_token_ids) {
    return reader.refuse(
        "stop_token_ids",
        "must be a list of at most " + std::to_string(limits.max_stop_token_ids) + " token ids");
  }
  request.sampling.stop_token_ids =
      reader.token_ids_at(*value, "stop_token_ids", limits.vocab_size);
}

void read_logit_bias(FieldReader& reader, const RequestLimits& limits, CompletionRequest& request) {
  constexpr NumberRange kBias{-100.0, 100.0};
  const json* value = reader.find("logit_bias");
  if (value == nullptr) return;
  if (!value->is_object() || value->size() > limits.max_logit_bias) {
    return reader.refuse("logit_bias", "must be an object of at most " +
                                           std::to_string(limits.max_logit_bias) +
                                           " token ids and their biases");
  }
  for (const auto& [key, bias] : value->get_ref<const json::object_t&>()) {
    const std::optional<TokenId> id = token_id_of(key, limits.vocab_size);
    if (!id) {
      return reader.refuse("logit_bias", "must have token ids from 0 to " +
                                             std::to_string(limits.vocab_size - 1) + " as keys");
    }
    const std::optional<float> number = reader.number_at(bias, "logit_bias", kBias);
    if (!number) return;
    request.sampling.logit_bias.emplace_back(*id, *number);
  }
  std::ranges::sort(request.sampling.logit_bias);
}

void read_stream_options(FieldReader& reader, const RequestLimits& /*limits*/,
                         CompletionRequest& request) {
  json* value = reader.find("stream_options");
  if (value == nullptr) return;
  if (!value->is_object()) return reader.refuse("stream_options", "must be an object");
  const auto flag = [&](std::string_view name, bool& target) {
    const auto member = value->find(name);
    if (member == value->end() || member->is_null()) return;
    if (!member->is_boolean()) {
      return reader.refuse("stream_options." + std::string(name), "must be true or false");
    }
    target = member->get<bool>();
  };
  flag("include_usage", request.include_usage);
  flag("continuous_usage_stats", request.continuous_usage_stats);
  if (!request.stream) reader.refuse("stream_options", "is only allowed with stream set to true");
}

}  // namespace quire::proto
