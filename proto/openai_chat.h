#pragma once
// The bodies of /v1/chat/completions: requests to checked values, results to JSON. The same rules
// as openai.h.
//
// Pure functions over values; any thread.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proto/error.h"
#include "proto/json_tree.h"
#include "proto/openai.h"

namespace quire::proto {

inline constexpr std::size_t kMaxMessages = 2048;
inline constexpr std::size_t kMaxTools = 128;
inline constexpr std::size_t kMaxToolBytes = std::size_t{64} << 10;  // of one tool as JSON

struct ChatRequest {
  // What both endpoints share; no prompts. num_logprobs is top_logprobs where logprobs is true.
  CompletionRequest generation;
  // Maps with a role and a content, which is a text, a list of text parts or null (of an
  // assistant). The arguments of tool calls that are JSON objects are maps here, as templates
  // expect.
  JsonTree messages;
  std::optional<JsonTree> tools, documents;
  JsonTree variables{JsonTree::Map()};  // chat_template_kwargs that are on the list of allowed ones
  bool add_generation_prompt = true;
};

[[nodiscard]] Result<ChatRequest> parse_chat(std::string_view body, const RequestLimits& limits);

// What a chunk says of its choice: that the assistant speaks; text and logprobs; or how it ended.
enum class ChatPart : std::uint8_t { kRole, kContent, kFinish };
[[nodiscard]] std::string chat_chunk(const ResponseHead& head, ChatPart part, const Choice& choice,
                                     ChunkUsage mode, const Usage& usage, const TokenTexts& texts);
// The last chunk under include_usage.
[[nodiscard]] std::string chat_usage_chunk(const ResponseHead& head, const Usage& usage);

}  // namespace quire::proto
