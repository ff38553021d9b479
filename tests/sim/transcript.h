#pragma once
// Transcript: what a client was told, in order; two runs of one request are compared by it.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "proto/types.h"
#include "scheduler/step.h"

namespace quire::sim {

struct ToldToken {
  bool is_prompt = false;
  TokenId token = kNoToken;
  float logprob = 0.0f;
  std::vector<TokenLogprob> top;
  friend bool operator==(const ToldToken&, const ToldToken&) = default;
};

struct Transcript {
  std::vector<ToldToken> tokens;
  FinishReason finish = FinishReason::kNone;
  TokenId stop_token = kNoToken;
  friend bool operator==(const Transcript&, const Transcript&) = default;

  void append(const scheduler::TokenEvent& event) {
    if (event.token != kNoToken) {
      tokens.push_back({.is_prompt = event.is_prompt,
                        .token = event.token,
                        .logprob = event.logprob,
                        .top = {event.top.begin(), event.top.end()}});
    }
    finish = event.finish;
    stop_token = event.stop_token;
  }
  [[nodiscard]] bool is_prefix_of(const Transcript& whole) const {
    return tokens.size() <= whole.tokens.size() &&
           std::equal(tokens.begin(), tokens.end(), whole.tokens.begin());
  }
};

}  // namespace quire::sim
