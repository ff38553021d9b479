#pragma once
// StepBudget: how many tokens a step may still take.
//
// A sequence with one token to compute decodes; one with more prefills, and holds up all that
// decode in the same step by what its chunk costs. So chunks have a budget of their own in it, and
// of that some may be set aside for a short prompt beside a long one.
//
// Lifetime: one schedule(). Invariant: 0 <= prefill <= tokens.

#include <algorithm>
#include <cstdint>

#include "proto/check.h"

namespace quire::scheduler {

class StepBudget final {
 public:
  StepBudget(std::int32_t tokens, std::int32_t prefill)
      : tokens_(tokens), prefill_(std::min(prefill, tokens)) {}

  [[nodiscard]] std::int32_t tokens() const { return tokens_; }
  // Whoever waits would get tokens.
  [[nodiscard]] bool takes_prefill() const { return prefill_ > 0; }
  // What prefill has once so many have their one token.
  [[nodiscard]] std::int32_t prefill_beside(std::int32_t num_decoding) const {
    return std::max(0, std::min(prefill_, tokens_ - num_decoding));
  }
  // Prefill has so many, of which some are not for those that come first until all are open.
  void share(std::int32_t prefill, std::int32_t aside) {
    CHECK_LT(aside, prefill);
    prefill_ = std::min(prefill_, prefill);
    aside_ = aside;
  }
  void open() { aside_ = 0; }
  // Tokens for a sequence that has `missing` to compute; 0: none in this step.
  [[nodiscard]] std::int32_t chunk(std::int32_t missing) const {
    return std::min(missing, missing > 1 ? std::max(0, prefill_ - aside_) : tokens_);
  }
  // It got that many of them.
  void take(std::int32_t missing, std::int32_t num_tokens) {
    CHECK_LE(num_tokens, chunk(missing));
    tokens_ -= num_tokens;
    prefill_ = std::min(missing > 1 ? prefill_ - num_tokens : prefill_, tokens_);
  }

 private:
  std::int32_t tokens_;
  std::int32_t prefill_;
  std::int32_t aside_ = 0;  // of prefill_
};

}  // namespace quire::scheduler
