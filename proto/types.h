#pragma once
// The words every room shares: ids, why a sequence ended, and how it is to be sampled.
// Plain values; thread-compatible; no behaviour beyond comparison.

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace quire {

// An index into the vocabulary. Valid ids are 0 <= id < vocab_size.
using TokenId = std::int32_t;
inline constexpr TokenId kNoToken = -1;

// One generated continuation of one prompt (a request with k prompts and n choices has k * n).
// Drawn from a counter, never from client input.
enum class SequenceId : std::uint64_t {};

// A block of the KV cache: index of a page in the pool.
enum class BlockId : std::int32_t {};
inline constexpr BlockId kNoBlock{-1};

// Steps are numbered from 1 in the order in which they are planned.
enum class StepId : std::uint64_t {};

// Whose prompts may share pages: two sequences share only under equal salts. Derived by the server
// from the API key's name (and the client's cache_salt) with a secret, so that it can be neither
// guessed nor made equal by a client.
struct CacheSalt {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const CacheSalt&, const CacheSalt&) = default;
};

enum class FinishReason : std::uint8_t {
  kNone,    // still running
  kStop,    // end token, stop token id or stop string
  kLength,  // max_tokens or the context length
  kAbort,   // the client went away or the deadline passed
  kError,   // a fault of this sequence alone (non-finite logits) or of the engine
};

// Element types of files, weights, activations and pages.
enum class DType : std::uint8_t { kFloat32, kFloat16, kBFloat16, kInt8, kFp8E4M3, kInt32 };

[[nodiscard]] constexpr std::int64_t dtype_bytes(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kFloat16:
    case DType::kBFloat16:
      return 2;
    case DType::kInt8:
    case DType::kFp8E4M3:
      return 1;
  }
  return 0;
}

// How the next token is chosen. Validated by proto/openai before it gets here; ranges in comments.
struct SamplingParams {
  float temperature = 1.0f;                           // >= 0; 0 is greedy
  float top_p = 1.0f;                                 // (0, 1]
  std::int32_t top_k = 0;                             // 0: off
  float min_p = 0.0f;                                 // [0, 1]
  float repetition_penalty = 1.0f;                    // > 0; over prompt and output
  float presence_penalty = 0.0f;                      // [-2, 2]; over the output
  float frequency_penalty = 0.0f;                     // [-2, 2]; over the output
  std::vector<std::pair<TokenId, float>> logit_bias;  // added to the logits; at most 1,024 entries
  std::int32_t max_tokens = 16;                       // 0 only scores the prompt
  std::int32_t min_tokens = 0;                        // end tokens are masked before this many
  bool ignore_eos = false;
  std::vector<TokenId> stop_token_ids;  // end the sequence beside the model's own end tokens
  std::uint64_t seed = 0;               // the daemon draws one where the client gave none
  std::int32_t num_logprobs = -1;       // -1: none; 0: the chosen token's; k: the k best as well
  bool prompt_logprobs = false;         // also score every prompt token (echo with logprobs)
};

// A token with its log-probability from the raw float32 logits.
struct TokenLogprob {
  TokenId token = kNoToken;
  float logprob = 0.0f;
  friend bool operator==(const TokenLogprob&, const TokenLogprob&) = default;
};

}  // namespace quire
