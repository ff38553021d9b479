#pragma once
// The OpenAI-compatible bodies: JSON requests to checked values, results to JSON.
//
// Pure functions over values; any thread. Parsing is strict where WIRE says so: every number is
// checked for kind, finiteness and range before any cast; duplicate keys are refused; null means
// absent; unknown fields are accepted; fields that are known and not served are refused by name.
// 1. An Error's param names the field ("logit_bias", "prompt[3]"); its message never echoes input.
// 2. Every string written is valid UTF-8 and every line of JSON is free of raw newlines.
// Cost: linear in the body; depth of nesting at most kMaxJsonDepth.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "proto/error.h"
#include "proto/types.h"

namespace quire::proto {

inline constexpr int kMaxJsonDepth = 32;
inline constexpr std::size_t kMaxErrorBody = 1024;  // bytes of an error's JSON

// What a request may ask for; the server fills it from its options and the model.
struct RequestLimits {
  std::int32_t vocab_size = 0;       // token-id prompts, logit_bias and stop_token_ids lie below
  std::int32_t max_n = 8;            // choices per prompt
  std::int32_t max_prompts = 128;    // prompts per request
  std::int32_t max_sequences = 128;  // prompts times n
  std::int32_t max_logprobs = 20;
  std::size_t max_stops = 4;
  std::size_t max_stop_bytes = 256;
  std::size_t max_logit_bias = 1024;
  std::size_t max_stop_token_ids = 1024;
  std::int64_t max_tokens = 1 << 24;  // any larger max_tokens or min_tokens is refused outright
};

using Prompt = std::variant<std::string, std::vector<TokenId>>;

struct CompletionRequest {
  std::optional<std::string> model;
  std::vector<Prompt> prompts;  // at least one, none empty
  // Sampling fields that the client gave; the others hold the struct's defaults.
  SamplingParams sampling;
  // Absent: the default depends on the context length or on generation_config.json.
  std::optional<std::int32_t> max_tokens;
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::int32_t> top_k;
  std::optional<std::uint64_t> seed;
  std::int32_t n = 1;
  std::optional<std::int32_t> best_of;  // this many are generated, the n best are told; >= n
  std::optional<std::string> suffix;    // fill in the middle: what follows; not empty
  std::int32_t priority = 0;            // smaller runs first, as in vLLM
  std::vector<std::string> stop;
  bool include_stop_str_in_output = false;
  bool skip_special_tokens = true;
  bool add_special_tokens = true;
  bool echo = false;
  bool stream = false;
  bool include_usage = false;
  bool continuous_usage_stats = false;
  std::optional<std::string> cache_salt;
};

[[nodiscard]] Result<CompletionRequest> parse_completion(std::string_view body,
                                                         const RequestLimits& limits);

struct TokenizeRequest {
  std::optional<std::string> model;
  std::string prompt;
  bool add_special_tokens = true;
};
struct DetokenizeRequest {
  std::optional<std::string> model;
  std::vector<TokenId> tokens;
};
[[nodiscard]] Result<TokenizeRequest> parse_tokenize(std::string_view body);
[[nodiscard]] Result<DetokenizeRequest> parse_detokenize(std::string_view body,
                                                         const RequestLimits& limits);

enum class AnswerForm : std::uint8_t { kCompletion, kChat };

// The bytes that a token stands for: answers keep tokens and spell them when they are written.
class TokenTexts {
 public:
  virtual ~TokenTexts() = default;
  [[nodiscard]] virtual std::string_view bytes_of(TokenId token) const = 0;
};

// One token of a logprobs answer. Minus infinity is written as -9999.0.
struct LogprobEntry {
  TokenLogprob token;
  std::int32_t text_offset = 0;  // characters of the emitted text before it
  std::uint32_t top_begin = 0;   // its part of Choice::top
  std::uint16_t num_top = 0;
  bool scored = true;  // false: the first prompt token under echo has no logprob
};

// How a token is spelt in a logprobs answer: its text, or "bytes:\xe2\x96" where its bytes alone
// are no valid UTF-8.
[[nodiscard]] std::string token_label(std::string_view token_bytes);

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;
};

// Which string or token id ended a choice.
using StopReason = std::variant<std::monostate, TokenId, std::string>;

struct Choice {
  std::int32_t index = 0;
  std::string text;
  FinishReason finish = FinishReason::kNone;  // kNone is written as null
  StopReason stop_reason;
  bool with_logprobs = false;  // writes the logprobs object, else null
  std::vector<LogprobEntry> logprobs;
  std::vector<TokenLogprob> top;  // of all of them, best first each
};

// The fields that all chunks of one answer share.
struct ResponseHead {
  std::string id;            // "cmpl-..."
  std::int64_t created = 0;  // seconds since 1970
  std::string model;
  std::string system_fingerprint;
  std::optional<std::uint64_t> seed;  // the seed that reproduces the answer
};

// The body of an answer that is not streamed: AnswerBody (answer_body.h).

enum class ChunkUsage { kOmit, kNull, kGiven };
// One chunk's JSON (one line). No choices and kGiven: the final usage chunk.
[[nodiscard]] std::string completion_chunk(const ResponseHead& head,
                                           std::span<const Choice> choices, ChunkUsage mode,
                                           const Usage& usage, const TokenTexts& texts);

// {"error":{message,type,param,code}}, all four keys, at most kMaxErrorBody bytes.
[[nodiscard]] std::string error_body(const Error& error);
// The one table from error kinds to HTTP.
[[nodiscard]] int http_status(ErrorCode code);

struct ModelCard {
  std::string id;
  std::int64_t created = 0;
  std::int64_t max_model_len = 0;
};
[[nodiscard]] std::string models_body(std::span<const ModelCard> models);
[[nodiscard]] std::string model_body(const ModelCard& model);
[[nodiscard]] std::string tokenize_body(std::span<const TokenId> tokens,
                                        std::int64_t max_model_len);
[[nodiscard]] std::string detokenize_body(std::string_view text);
[[nodiscard]] std::string version_body();

}  // namespace quire::proto
