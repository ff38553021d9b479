#pragma once
// What the fake model computes, apart from where its "keys and values" lie.
//
// A token's entry in a group is a hash of the token, its position, the group and the entry before
// it; the state at a position folds, group after group, the entries that the group attends to. So
// one wrong, stale or foreign entry anywhere in the context changes the choices that see it. Pure.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "proto/types.h"
#include "tests/sim/random.h"
#include "tests/sim/scenario.h"

namespace quire::sim {

using Entry = std::uint64_t;
inline constexpr Entry kNoEntry = 0x5EED;  // before the first position
inline constexpr Entry kSpoilt = 0xBAD;    // of a step whose logits were not finite

[[nodiscard]] constexpr Entry entry_of(TokenId token, std::int32_t position, std::size_t group,
                                       Entry previous) {
  return mix(previous ^ (static_cast<std::uint64_t>(position) << 32) ^ (group << 24) ^
             static_cast<std::uint32_t>(token));
}
[[nodiscard]] constexpr std::uint64_t fold(std::uint64_t state, std::uint64_t value) {
  return mix(state ^ value) + 1;
}
// The same for entries, of which each choice reads a whole context: one product each.
[[nodiscard]] constexpr std::uint64_t attend(std::uint64_t state, Entry entry) {
  return (state ^ entry) * 0x9E3779B97F4A7C15u + (state >> 29);
}
// The first position that the last of `num_tokens` tokens attends to.
[[nodiscard]] constexpr std::int32_t first_attended(const Group& group, std::int32_t num_tokens) {
  return group.window == 0 ? 0 : std::max(0, num_tokens - group.window);
}

// What is asked of the state at position - 1.
struct Question {
  std::uint64_t state = 0;    // fold of the entries before `position`
  std::uint64_t history = 0;  // fold of the tokens before `position`
  std::int32_t position = 0;
  TokenId target = kNoToken;
  std::int32_t choice = 0;
  std::int32_t num_top = -1;
  bool mask_end_tokens = false;
  std::int32_t fault_period = 0;
};

struct Answer {
  TokenId token = kNoToken;
  float logprob = 0.0f;
  std::vector<TokenLogprob> top;
  bool fault = false;
};

inline void answer(const Question& question, const SamplingParams& params, Answer& result) {
  const std::uint64_t logits = fold(question.state, static_cast<std::uint64_t>(question.position));
  const auto logprob_of = [&](TokenId token) {
    return -static_cast<float>(fold(logits, static_cast<std::uint64_t>(token)) % 4096) / 256.0f;
  };
  const auto is_end = [&](TokenId token) {
    return token == kEndToken || token == kOtherEndToken ||
           std::find(params.stop_token_ids.begin(), params.stop_token_ids.end(), token) !=
               params.stop_token_ids.end();
  };
  result.fault =
      question.fault_period > 0 && logits % static_cast<std::uint64_t>(question.fault_period) == 0;
  std::uint64_t draw = fold(fold(logits, question.history),
                            params.seed + static_cast<std::uint64_t>(question.choice));
  const auto token_of = [](std::uint64_t value) {
    return static_cast<TokenId>(value % static_cast<std::uint64_t>(kVocabSize));
  };
  while (question.mask_end_tokens && is_end(token_of(draw))) draw = mix(draw) + 1;
  result.token = question.target != kNoToken ? question.target : token_of(draw);
  result.logprob = logprob_of(result.token);
  result.top.clear();
  for (std::int32_t i = 0; i < question.num_top; ++i) {
    const TokenId token = token_of(logits + static_cast<std::uint64_t>(i));
    result.top.push_back({token, logprob_of(token)});
  }
}

}  // namespace quire::sim
