#pragma once
// Sampler: one row of raw logits to one token.
//
// Stateless but for scratch memory reserved at construction (one Sampler per compute thread or per
// row in flight); not thread-safe. Allocates nothing after construction.
// 1. The result is a function of (logits row, sample, end tokens) alone: the draw comes from a
//    counter-based generator (Philox 4x32-10, Salmon et al. 2011) keyed by (seed, choice,
//    position).
// 2. Order of effects: logprobs from the raw logits; then logit_bias, end-token mask, repetition,
//    presence and frequency penalties; greedy if temperature is 0 (ties to the lower id); else
//    temperature, top_k, top_p, min_p over the tokens sorted by (logit descending, id ascending),
//    summed in that order. Where neither top_k nor top_p is set nothing needs sorting and the order
//    is that of the ids: it, too, is a function of the row alone.
// 3. Logits that are not finite (NaN, +inf, or all -inf) are a fault, and so is a row in which bias
//    and masks leave no token: no token.
// 4. Logprobs are computed where they are asked for (num_top >= 0, or a target); else
// chosen.logprob
//    is 0.
// 5. engine/backend/cuda/sample_row.h is the same chain for a device, to the same bits; tests
// compare
//    the two, so that a change here is one there.
// Cost: O(vocab) for greedy and plain temperature; partial sorts elsewhere.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "proto/types.h"
#include "scheduler/step.h"

namespace quire::engine {

class Sampler final {
 public:
  // end_token_ids: the model's own end tokens (what min_tokens masks, with stop_token_ids).
  Sampler(std::int32_t vocab_size, std::int32_t max_top, std::vector<TokenId> end_token_ids);
  ~Sampler();

  struct Outcome {
    bool fault = false;
    TokenLogprob chosen;                // or the scored target token
    std::span<const TokenLogprob> top;  // sample.num_top best of the raw logits, best first;
                                        // valid until the next call
  };
  // logits: vocab_size floats, not changed.
  [[nodiscard]] Outcome sample(std::span<const float> logits, const scheduler::StepSample& sample);

 private:
  // kNoToken where no token has a chance.
  [[nodiscard]] TokenId choose(std::span<const float> logits, float maximum,
                               const scheduler::StepSample& sample);

  struct Scratch;
  std::int32_t vocab_size_;
  std::vector<TokenId> end_token_ids_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace quire::engine
