#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "engine/philox.h"
#include "proto/check.h"

namespace quire::engine {
namespace {

using scheduler::StepSample;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr std::size_t kLanes = 16;  // of the sums over the vocabulary; part of the arithmetic

struct Candidate {
  float logit;
  TokenId id;
};

// The sampling order: the better logit first, ties to the lower id. Total, so that every selection
// and every sort by it has one outcome only.
bool before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// exp(x) for x <= 0, 0 below -87.3. Our own (Cephes' polynomial, relative error below 2e-7), so
// that an answer does not depend on which variant of libm's exp a machine picks.
inline float exp_negative(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float clamped = x < -87.3f ? -87.3f : x;
  const float n = (clamped * 1.44269504f + kRound) - kRound;
  const float f = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * (f * f) + (f + 1.0f);
  const auto power = std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
  return x < -87.3f ? 0.0f : p * power;
}

// The largest of a row; NaN is passed over. In kLanes independent chains, so that the compiler uses
// vectors: a maximum has one value in any order.
float largest(std::span<const float> row) {
  std::array<float, kLanes> lanes;
  lanes.fill(-kInfinity);
  const std::size_t whole = row.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j)
      lanes[j] = row[i + j] > lanes[j] ? row[i + j] : lanes[j];
  }
  float maximum = -kInfinity;
  for (const float lane : lanes) maximum = lane > maximum ? lane : maximum;
  for (const float value : row.subspan(whole)) maximum = value > maximum ? value : maximum;
  return maximum;
}

// The first place of `value`, which is in the row.
std::size_t first_place(std::span<const float> row, float value) {
  std::size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    std::uint32_t found = 0;
    for (std::size_t j = 0; j < kLanes; ++j) found |= row[i + j] == value ? 1u : 0u;
    if (found != 0) break;
  }
  while (row[i] != value) ++i;
  return i;
}

// The largest logit; nothing where one is NaN or +inf, or where all are -inf. One pass: the logits
// of a step are more than a cache holds.
std::optional<float> finite_maximum(std::span<const float> logits) {
  std::array<float, kLanes> lanes;
  lanes.fill(-kInfinity);
  std::array<std::uint32_t, kLanes> bad{};
  const std::size_t whole = logits.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const float value = logits[i + j];
      lanes[j] = value > lanes[j] ? value : lanes[j];
      bad[j] |= value != value ? 1u : 0u;
    }
  }
  float maximum = largest(logits.subspan(whole));
  for (const float lane : lanes) maximum = lane > maximum ? lane : maximum;
  std::uint32_t nan = 0;
  for (const float value : logits.subspan(whole)) nan |= value != value ? 1u : 0u;
  for (const std::uint32_t lane : bad) nan |= lane;
  if (maximum == kInfinity || maximum == -kInfinity || nan != 0) return std::nullopt;
  return maximum;
}

// log of the sum of exp(logit - maximum), summed in kLanes interleaved partial sums.
double log_sum(std::span<const float> logits, float maximum) {
  std::array<double, kLanes> lanes{};
  const std::size_t whole = logits.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      lanes[j] += static_cast<double>(exp_negative(logits[i + j] - maximum));
    }
  }
  for (std::size_t i = whole; i < logits.size(); ++i) {
    lanes[i - whole] += static_cast<double>(exp_negative(logits[i] - maximum));
  }
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return std::log(sum);
}

constexpr std::size_t kDrawBlock = 1024;  // of the sums that a plain draw walks

double block_sum(std::span<const float> weights) {
  std::array<double, kLanes> lanes{};
  const std::size_t whole = weights.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) lanes[j] += static_cast<double>(weights[i + j]);
  }
  for (std::size_t i = whole; i < weights.size(); ++i) {
    lanes[i - whole] += static_cast<double>(weights[i]);
  }
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// Block after block, as a plain draw walks them.
double sum_of(std::span<const float> weights) {
  double sum = 0.0;
  for (std::size_t i = 0; i < weights.size(); i += kDrawBlock) {
    sum += block_sum(weights.subspan(i, std::min(kDrawBlock, weights.size() - i)));
  }
  return sum;
}

// Keeps a finite logit finite whatever a client's penalty does to it; -inf (masked) stays.
float limited(float adjusted, float original) {
  if (original == -kInfinity) return original;
  return std::clamp(adjusted, -kLargest, kLargest);
}

// The `count` best of the raw logits, best first.
void collect_top(std::span<const float> logits, float maximum, double log_total, std::size_t count,
                 std::vector<TokenLogprob>& top) {
  top.clear();
  count = std::min(count, logits.size());
  if (count == 0) return;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (top.size() == count) {
      if (!(logits[i] > top.back().logprob)) continue;
      top.pop_back();
    }
    const TokenLogprob entry{.token = static_cast<TokenId>(i), .logprob = logits[i]};
    const auto place = std::upper_bound(
        top.begin(), top.end(), entry,
        [](const TokenLogprob& a, const TokenLogprob& b) { return a.logprob > b.logprob; });
    top.insert(place, entry);
  }
  for (TokenLogprob& entry : top) {
    entry.logprob = static_cast<float>(static_cast<double>(entry.logprob) -
                                       static_cast<double>(maximum) - log_total);
  }
}

}  // namespace

struct Sampler::Scratch {
  std::vector<float> work;            // adjusted logits, then weights
  std::vector<Candidate> candidates;  // what top_k and top_p choose from
  std::vector<std::int32_t> counts;   // of a token in the history; all zero between uses
  std::vector<TokenLogprob> top;

  [[nodiscard]] std::span<const float> adjust(std::span<const float> logits,
                                              const StepSample& sample,
                                              std::span<const TokenId> end_token_ids);
  void penalise_repetition(const StepSample& sample);
  void penalise_output(const StepSample& sample);
  [[nodiscard]] TokenId draw_plain(std::span<const float> logits, float maximum,
                                   const SamplingParams& params, double uniform);
  [[nodiscard]] TokenId draw_sorted(std::span<const float> logits, float maximum,
                                    const SamplingParams& params, double uniform);
  void sort_prefix(std::size_t from, std::size_t to);
  [[nodiscard]] std::size_t keep_top_p(double top_p, std::size_t kept, std::size_t sorted,
                                       float maximum, float temperature);
};

// The logits after bias, mask and penalties: `logits` itself where nothing changes them.
std::span<const float> Sampler::Scratch::adjust(std::span<const float> logits,
                                                const StepSample& sample,
                                                std::span<const TokenId> end_token_ids) {
  const SamplingParams& params = *sample.params;
  const bool penalties = params.repetition_penalty != 1.0f || params.presence_penalty != 0.0f ||
                         params.frequency_penalty != 0.0f;
  if (params.logit_bias.empty() && !sample.mask_end_tokens && !penalties) return logits;

  std::copy(logits.begin(), logits.end(), work.begin());
  const auto size = static_cast<TokenId>(logits.size());
  const auto known = [size](TokenId id) { return id >= 0 && id < size; };
  for (const auto& [id, bias] : params.logit_bias) {
    if (known(id)) work[id] = limited(work[id] + bias, work[id]);
  }
  if (sample.mask_end_tokens) {
    for (const TokenId id : end_token_ids) {
      if (known(id)) work[id] = -kInfinity;
    }
    for (const TokenId id : params.stop_token_ids) {
      if (known(id)) work[id] = -kInfinity;
    }
  }
  if (params.repetition_penalty != 1.0f) penalise_repetition(sample);
  if (params.presence_penalty != 0.0f || params.frequency_penalty != 0.0f) penalise_output(sample);
  return work;
}

// Once for each distinct token of prompt and output.
void Sampler::Scratch::penalise_repetition(const StepSample& sample) {
  const float penalty = sample.params->repetition_penalty;
  for (const TokenId id : sample.history) {
    if (counts[id]++ > 0) continue;
    const float logit = work[id];
    work[id] = limited(logit > 0.0f ? logit / penalty : logit * penalty, logit);
  }
  for (const TokenId id : sample.history) counts[id] = 0;
}

// By how often a token occurs in the output.
void Sampler::Scratch::penalise_output(const StepSample& sample) {
  const std::size_t prompt = std::min<std::size_t>(sample.num_prompt_tokens, sample.history.size());
  const std::span<const TokenId> output = sample.history.subspan(prompt);
  for (const TokenId id : output) ++counts[id];
  for (const TokenId id : output) {
    if (counts[id] == 0) continue;
    const float logit = work[id];
    const float frequency = sample.params->frequency_penalty * static_cast<float>(counts[id]);
    work[id] = limited(logit - frequency - sample.params->presence_penalty, logit);
    counts[id] = 0;
  }
}

// Temperature and min_p only: no order is needed, the ids' own serves.
TokenId Sampler::Scratch::draw_plain(std::span<const float> logits, float maximum,
                                     const SamplingParams& params, double uniform) {
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float weight = exp_negative((logits[i] - maximum) / params.temperature);
    work[i] = weight >= params.min_p ? weight : 0.0f;
  }
  const double target = uniform * sum_of(work);
  double sum = 0.0;
  std::size_t begin = 0;
  // Whole blocks that end before the target, then one by one.
  for (; begin + kDrawBlock < work.size(); begin += kDrawBlock) {
    const double after = sum + block_sum(std::span(work).subspan(begin, kDrawBlock));
    if (after > target) break;
    sum = after;
  }
  TokenId last = kNoToken;
  for (std::size_t i = begin; i < work.size(); ++i) {
    if (work[i] == 0.0f) continue;
    last = static_cast<TokenId>(i);
    sum += static_cast<double>(work[i]);
    if (sum > target) break;
  }
  // Rounding alone can leave nothing behind the target: then the best.
  return last == kNoToken ? static_cast<TokenId>(first_place(logits, maximum)) : last;
}

// Puts the best of candidates[from, end) into [from, to), in order.
void Sampler::Scratch::sort_prefix(std::size_t from, std::size_t to) {
  const auto begin = candidates.begin() + static_cast<std::ptrdiff_t>(from);
  const auto middle = candidates.begin() + static_cast<std::ptrdiff_t>(to);
  if (to < candidates.size()) std::nth_element(begin, middle, candidates.end(), before);
  std::sort(begin, middle, before);
}

// How many of the first `kept` candidates, best first, are needed to reach top_p of their weight.
// Sorts only as far as it looks.
std::size_t Sampler::Scratch::keep_top_p(double top_p, std::size_t kept, std::size_t sorted,
                                         float maximum, float temperature) {
  const auto weight = [&](const Candidate& candidate) {
    return static_cast<double>(exp_negative((candidate.logit - maximum) / temperature));
  };
  double total = 0.0;
  for (std::size_t i = 0; i < kept; ++i) total += weight(candidates[i]);
  double sum = 0.0;
  std::size_t taken = 0;
  while (taken < kept) {
    if (taken == sorted) {
      const std::size_t wider = std::min(kept, std::max<std::size_t>(64, 4 * sorted));
      sort_prefix(sorted, wider);
      sorted = wider;
    }
    sum += weight(candidates[taken++]);
    if (sum >= top_p * total) break;
  }
  return taken;
}

// top_k, top_p, then min_p over the candidates in the sampling order.
TokenId Sampler::Scratch::draw_sorted(std::span<const float> logits, float maximum,
                                      const SamplingParams& params, double uniform) {
  candidates.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] != -kInfinity) candidates.push_back({logits[i], static_cast<TokenId>(i)});
  }
  std::size_t kept = candidates.size();
  std::size_t sorted = 0;
  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < kept) {
    kept = sorted = static_cast<std::size_t>(params.top_k);
    sort_prefix(0, kept);
    candidates.resize(kept);
  }
  if (params.top_p < 1.0f) {
    kept = keep_top_p(static_cast<double>(params.top_p), kept, sorted, maximum, params.temperature);
  } else if (sorted == 0) {
    sort_prefix(0, kept);
  }
  const auto weight = [&](std::size_t i) {
    return exp_negative((candidates[i].logit - maximum) / params.temperature);
  };
  while (kept > 1 && weight(kept - 1) < params.min_p) --kept;

  double total = 0.0;
  for (std::size_t i = 0; i < kept; ++i) total += static_cast<double>(weight(i));
  const double target = uniform * total;
  double sum = 0.0;
  for (std::size_t i = 0; i < kept; ++i) {
    sum += static_cast<double>(weight(i));
    if (sum > target) return candidates[i].id;
  }
  return candidates[0].id;  // unreachable but for rounding: uniform * total is below total
}

Sampler::Sampler(std::int32_t vocab_size, std::int32_t max_top, std::vector<TokenId> end_token_ids)
    : vocab_size_(vocab_size),
      end_token_ids_(std::move(end_token_ids)),
      scratch_(std::make_unique<Scratch>()) {
  CHECK_GT(vocab_size, 0);
  CHECK_GE(max_top, 0);
  const auto size = static_cast<std::size_t>(vocab_size);
  scratch_->work.resize(size);
  scratch_->candidates.reserve(size);
  scratch_->counts.resize(size);
  scratch_->top.reserve(static_cast<std::size_t>(max_top));
}

Sampler::~Sampler() = default;

Sampler::Outcome Sampler::sample(std::span<const float> logits, const StepSample& sample) {
  CHECK_EQ(static_cast<std::int64_t>(logits.size()), vocab_size_);
  CHECK_LE(sample.num_top, static_cast<std::int64_t>(scratch_->top.capacity()));
  const std::optional<float> raw_maximum = finite_maximum(logits);
  if (!raw_maximum) return {.fault = true, .chosen = {}, .top = {}};

  Outcome outcome;
  if (sample.target != kNoToken) {
    CHECK(sample.target >= 0 && sample.target < vocab_size_);
    outcome.chosen.token = sample.target;
  } else {
    outcome.chosen.token = choose(logits, *raw_maximum, sample);
    if (outcome.chosen.token == kNoToken) return {.fault = true, .chosen = {}, .top = {}};
  }
  if (sample.num_top < 0 && sample.target == kNoToken) return outcome;

  const double log_total = log_sum(logits, *raw_maximum);
  outcome.chosen.logprob = static_cast<float>(static_cast<double>(logits[outcome.chosen.token]) -
                                              static_cast<double>(*raw_maximum) - log_total);
  const auto count = static_cast<std::size_t>(std::max(sample.num_top, 0));
  collect_top(logits, *raw_maximum, log_total, count, scratch_->top);
  outcome.top = scratch_->top;
  return outcome;
}

TokenId Sampler::choose(std::span<const float> logits, float maximum, const StepSample& sample) {
  const SamplingParams& params = *sample.params;
  const std::span<const float> adjusted = scratch_->adjust(logits, sample, end_token_ids_);
  const float best = adjusted.data() == logits.data() ? maximum : largest(adjusted);
  if (best == -kInfinity) return kNoToken;
  if (params.temperature == 0.0f) return static_cast<TokenId>(first_place(adjusted, best));

  const double uniform = philox_uniform(params.seed, sample.choice, sample.position);
  if (params.top_k > 0 || params.top_p < 1.0f) {
    return scratch_->draw_sorted(adjusted, best, params, uniform);
  }
  return scratch_->draw_plain(adjusted, best, params, uniform);
}

}  // namespace quire::engine
