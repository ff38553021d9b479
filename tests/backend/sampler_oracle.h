#pragma once
// What the sampler has to do, written the slow and obvious way in double precision.

#include <cstdint>
#include <span>
#include <vector>

#include "proto/types.h"
#include "scheduler/step.h"

namespace quire::engine::testing {

// The logits after bias, mask and penalties.
std::vector<double> adjusted_logits(std::span<const float> logits,
                                    const scheduler::StepSample& sample,
                                    std::span<const TokenId> end_token_ids);

// Log-probabilities of the raw logits.
std::vector<double> log_probabilities(std::span<const float> logits);

// The distribution after temperature, top_k, top_p and min_p, in the sampling order.
struct Share {
  TokenId token;
  double probability;
};
std::vector<Share> distribution(const std::vector<double>& logits, const SamplingParams& params);

}  // namespace quire::engine::testing
