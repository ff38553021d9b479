#include "tests/backend/sampler_oracle.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

namespace quire::engine::testing {

std::vector<double> adjusted_logits(std::span<const float> logits,
                                    const scheduler::StepSample& sample,
                                    std::span<const TokenId> end_token_ids) {
  const SamplingParams& params = *sample.params;
  std::vector<double> result(logits.begin(), logits.end());
  for (const auto& [id, bias] : params.logit_bias) result[id] += double{bias};
  if (sample.mask_end_tokens) {
    for (const TokenId id : end_token_ids) result[id] = -INFINITY;
    for (const TokenId id : params.stop_token_ids) result[id] = -INFINITY;
  }
  const std::set<TokenId> seen(sample.history.begin(), sample.history.end());
  for (const TokenId id : seen) {
    double& logit = result[id];
    logit = logit > 0 ? logit / double{params.repetition_penalty}
                      : logit * double{params.repetition_penalty};
  }
  const auto output = sample.history.subspan(sample.num_prompt_tokens);
  for (const TokenId id : std::set<TokenId>(output.begin(), output.end())) {
    const auto count = static_cast<double>(std::count(output.begin(), output.end(), id));
    result[id] -= double{params.presence_penalty} + double{params.frequency_penalty} * count;
  }
  return result;
}

std::vector<double> log_probabilities(std::span<const float> logits) {
  const double maximum = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - maximum);
  std::vector<double> result;
  for (const float logit : logits) result.push_back(double{logit} - maximum - std::log(sum));
  return result;
}

std::vector<Share> distribution(const std::vector<double>& logits, const SamplingParams& params) {
  std::vector<Share> shares;
  const double maximum = *std::max_element(logits.begin(), logits.end());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double weight = std::exp((logits[i] - maximum) / double{params.temperature});
    shares.push_back({static_cast<TokenId>(i), weight});
  }
  const bool sorted = params.top_k > 0 || params.top_p < 1.0f;
  if (sorted) {
    std::stable_sort(shares.begin(), shares.end(), [&](const Share& a, const Share& b) {
      return logits[a.token] > logits[b.token];
    });
  }
  const auto total = [&] {
    return std::accumulate(shares.begin(), shares.end(), 0.0,
                           [](double sum, const Share& share) { return sum + share.probability; });
  };
  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < shares.size()) {
    shares.resize(params.top_k);
  }
  if (params.top_p < 1.0f) {
    const double wanted = double{params.top_p} * total();
    double sum = 0;
    std::size_t kept = 0;
    while (kept < shares.size() && sum < wanted) sum += shares[kept++].probability;
    shares.resize(std::max<std::size_t>(kept, 1));
  }
  std::erase_if(shares, [&](const Share& share) {
    return share.probability < double{params.min_p};  // the best token's weight is 1
  });
  const double sum = total();
  for (Share& share : shares) share.probability /= sum;
  return shares;
}

}  // namespace quire::engine::testing
