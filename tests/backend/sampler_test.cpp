// The sampler: known answers for the generator, an oracle for every setting, faults, and that a
// row's token is a function of the row.

#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "engine/philox.h"
#include "tests/backend/sampler_oracle.h"
#include "tests/support/allocation_count.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using scheduler::StepSample;
using testing::Share;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST_CASE("philox gives the known answers of its authors") {
  // Random123, kat_vectors: philox4x32 10.
  REQUIRE(philox4x32_10({0, 0, 0, 0}, {0, 0}) ==
          PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint32_t ones = 0xffffffff;
  REQUIRE(philox4x32_10({ones, ones, ones, ones}, {ones, ones}) ==
          PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  REQUIRE(
      philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
      PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("uniform draws fill 0 to 1 and differ by seed, choice and position") {
  double sum = 0;
  for (int position = 0; position < 10000; ++position) {
    const double draw = philox_uniform(42, 0, position);
    REQUIRE((draw >= 0.0 && draw < 1.0));
    sum += draw;
    REQUIRE(draw != philox_uniform(43, 0, position));
    REQUIRE(draw != philox_uniform(42, 1, position));
    REQUIRE(draw != philox_uniform(42 + (std::uint64_t{1} << 32), 0, position));
  }
  REQUIRE(std::abs(sum / 10000 - 0.5) < 0.01);
}

// A row of logits with everything that one sample needs.
struct Row {
  std::vector<float> logits;
  SamplingParams params;
  std::vector<TokenId> history;
  StepSample sample;

  Row() = default;
  Row(const Row&) = delete;
  StepSample& finish() {
    sample.params = &params;
    sample.history = history;
    sample.position = static_cast<std::int32_t>(history.size());
    return sample;
  }
};

constexpr TokenId kVocabulary = 50;
const std::vector<TokenId> kEndTokens{3, 7};

// Random settings, each of them off as often as on; many equal logits.
void randomise(Row& row, std::mt19937& random) {
  const auto chance = [&](int one_in) { return random() % one_in == 0; };
  const auto real = [&](double low, double high) {
    return static_cast<float>(std::uniform_real_distribution<double>(low, high)(random));
  };
  row.logits.resize(kVocabulary);
  for (float& logit : row.logits) {
    logit = chance(3) ? std::round(real(-3, 3)) : real(-6, 6);
    if (chance(20)) logit = -kInfinity;
  }
  row.logits[0] = 0.5f;
  SamplingParams& p = row.params;
  p.temperature = chance(2) ? 1.0f : real(0.05, 2.0);
  p.top_k = chance(2) ? 0 : static_cast<std::int32_t>(1 + random() % 60);
  p.top_p = chance(2) ? 1.0f : real(0.01, 1.0);
  p.min_p = chance(2) ? 0.0f : real(0.0, 1.0);
  if (chance(2)) p.repetition_penalty = real(0.5, 2.0);
  if (chance(2)) p.presence_penalty = real(-2, 2);
  if (chance(2)) p.frequency_penalty = real(-2, 2);
  if (chance(2)) p.logit_bias = {{4, 2.5f}, {5, -100.0f}, {9, 1.0f}};
  if (chance(2)) p.stop_token_ids = {11};
  p.seed = (std::uint64_t{random()} << 32) | random();
  row.history.resize(random() % 40);
  for (TokenId& token : row.history) token = static_cast<TokenId>(random() % kVocabulary);
  row.sample.num_prompt_tokens = static_cast<std::int32_t>(random() % (row.history.size() + 1));
  row.sample.mask_end_tokens = chance(2);
  row.sample.choice = static_cast<std::int32_t>(random() % 4);
  row.finish();
}

TEST_CASE("every setting draws the token that the oracle's distribution assigns to the draw") {
  Sampler sampler(kVocabulary, 5, kEndTokens);
  std::mt19937 random(2026);
  int drawn = 0;
  for (int round = 0; round < 20000; ++round) {
    Row row;
    randomise(row, random);
    const std::vector<double> logits = testing::adjusted_logits(row.logits, row.sample, kEndTokens);
    const std::vector<Share> shares = testing::distribution(logits, row.params);
    const double uniform = philox_uniform(row.params.seed, row.sample.choice, row.sample.position);
    const Sampler::Outcome outcome = sampler.sample(row.logits, row.sample);
    REQUIRE_FALSE(outcome.fault);
    double below = 0;
    const auto found = std::find_if(shares.begin(), shares.end(), [&](const Share& share) {
      if (share.token == outcome.chosen.token) return true;
      below += share.probability;
      return false;
    });
    // A filter's edge can fall on either side of a token in float32: those rounds are few.
    if (found == shares.end()) continue;
    const bool inside = uniform > below - 1e-4 && uniform < below + found->probability + 1e-4;
    drawn += inside;
  }
  INFO(drawn << " of 20000 drawn as the oracle does");
  REQUIRE(drawn >= 19950);
}

TEST_CASE("greedy takes the best adjusted logit, ties to the lower id") {
  Sampler sampler(kVocabulary, 5, kEndTokens);
  std::mt19937 random(7);
  for (int round = 0; round < 5000; ++round) {
    Row row;
    randomise(row, random);
    row.params.temperature = 0.0f;
    const std::vector<double> logits = testing::adjusted_logits(row.logits, row.sample, kEndTokens);
    const double best = *std::max_element(logits.begin(), logits.end());
    const TokenId token = sampler.sample(row.logits, row.sample).chosen.token;
    REQUIRE(logits[token] >= best - 1e-5);
    if (row.params.repetition_penalty == 1.0f && row.params.presence_penalty == 0.0f &&
        row.params.frequency_penalty == 0.0f) {
      REQUIRE(token == std::max_element(logits.begin(), logits.end()) - logits.begin());
    }
  }
  Row ties;
  ties.logits.assign(kVocabulary, 1.0f);
  ties.params.temperature = 0.0f;
  REQUIRE(sampler.sample(ties.logits, ties.finish()).chosen.token == 0);
}

TEST_CASE("logprobs come from the raw logits, best first, ties to the lower id") {
  Sampler sampler(kVocabulary, 5, kEndTokens);
  std::mt19937 random(11);
  for (int round = 0; round < 2000; ++round) {
    Row row;
    randomise(row, random);
    row.sample.num_top = static_cast<std::int32_t>(random() % 6);
    const std::vector<double> expected = testing::log_probabilities(row.logits);
    const Sampler::Outcome outcome = sampler.sample(row.logits, row.sample);
    REQUIRE(outcome.chosen.logprob == Approx(expected[outcome.chosen.token]).margin(1e-5));
    std::vector<TokenId> order(kVocabulary);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](TokenId a, TokenId b) { return row.logits[a] > row.logits[b]; });
    REQUIRE(outcome.top.size() == static_cast<std::size_t>(row.sample.num_top));
    for (std::size_t i = 0; i < outcome.top.size(); ++i) {
      REQUIRE(outcome.top[i].token == order[i]);
      if (std::isinf(expected[order[i]])) continue;
      REQUIRE(outcome.top[i].logprob == Approx(expected[order[i]]).margin(1e-5));
    }
    row.sample.target = static_cast<TokenId>(random() % kVocabulary);
    const Sampler::Outcome scored = sampler.sample(row.logits, row.sample);
    REQUIRE(scored.chosen.token == row.sample.target);
    if (!std::isinf(expected[row.sample.target])) {
      REQUIRE(scored.chosen.logprob == Approx(expected[row.sample.target]).margin(1e-5));
    }
  }
}

TEST_CASE("draws follow the distribution (chi-square, fixed seed)") {
  const std::vector<float> logits{1.0f, 0.0f, -1.0f, 2.0f, 0.5f, -0.5f, 1.5f, -2.0f};
  SamplingParams settings[4];
  settings[1].temperature = 0.7f;
  settings[1].top_k = 5;
  settings[2].temperature = 1.3f;
  settings[2].top_p = 0.9f;
  settings[3].min_p = 0.1f;
  Sampler sampler(8, 0, {});
  for (const SamplingParams& params : settings) {
    constexpr int kDraws = 40000;
    std::vector<int> counts(8, 0);
    StepSample sample;
    sample.params = &params;
    for (sample.position = 0; sample.position < kDraws; ++sample.position) {
      ++counts[sampler.sample(logits, sample).chosen.token];
    }
    const std::vector<double> raw(logits.begin(), logits.end());
    double chi_square = 0;
    for (const Share& share : testing::distribution(raw, params)) {
      const double expected = share.probability * kDraws;
      chi_square += (counts[share.token] - expected) * (counts[share.token] - expected) / expected;
      counts[share.token] = 0;
    }
    REQUIRE(chi_square < 24.3);  // 7 degrees of freedom: above this in one of a thousand
    REQUIRE(std::accumulate(counts.begin(), counts.end(), 0) ==
            0);  // nothing that was filtered out
  }
}

TEST_CASE("a row's token depends on nothing that was sampled before it") {
  std::mt19937 random(5);
  Sampler shared(kVocabulary, 5, kEndTokens);
  for (int round = 0; round < 3000; ++round) {
    Row row;
    randomise(row, random);
    row.sample.num_top = 3;
    Sampler fresh(kVocabulary, 5, kEndTokens);
    const Sampler::Outcome alone = fresh.sample(row.logits, row.sample);
    const Sampler::Outcome later = shared.sample(row.logits, row.sample);
    REQUIRE(alone.chosen == later.chosen);
    REQUIRE(std::equal(alone.top.begin(), alone.top.end(), later.top.begin(), later.top.end()));
  }
}

TEST_CASE("logits that are not finite are a fault, -inf here and there is not") {
  Sampler sampler(kVocabulary, 5, kEndTokens);
  for (const float bad : {kInfinity, std::numeric_limits<float>::quiet_NaN(), -std::nanf("")}) {
    for (const std::size_t place : {std::size_t{0}, std::size_t{17}, std::size_t{49}}) {
      Row row;
      row.logits.assign(kVocabulary, 0.0f);
      row.logits[place] = bad;
      REQUIRE(sampler.sample(row.logits, row.finish()).fault);
      row.params.temperature = 0.0f;
      REQUIRE(sampler.sample(row.logits, row.finish()).fault);
      row.sample.target = 1;
      REQUIRE(sampler.sample(row.logits, row.finish()).fault);
    }
  }
  Row none;
  none.logits.assign(kVocabulary, -kInfinity);
  REQUIRE(sampler.sample(none.logits, none.finish()).fault);
  none.logits[6] = -2.0f;
  REQUIRE(sampler.sample(none.logits, none.finish()).chosen.token == 6);
  none.logits[6] = -kInfinity;
  none.logits[7] = 1.0f;  // an end token, and masked
  none.sample.mask_end_tokens = true;
  REQUIRE(sampler.sample(none.logits, none.finish()).fault);
}

TEST_CASE("extreme settings give a token all the same") {
  Sampler sampler(kVocabulary, 5, kEndTokens);
  std::mt19937 random(9);
  const float sizes[] = {1e-38f, 1e-30f, 1e-5f, 1.0f, 1e5f, 1e30f, 3e38f};
  for (const float temperature : sizes) {
    for (const float penalty : sizes) {
      for (const float size : sizes) {
        for (int filter = 0; filter < 4; ++filter) {
          Row row;
          randomise(row, random);
          for (float& logit : row.logits) logit = std::clamp(logit * size, -3e38f, 3e38f);
          row.params.temperature = temperature;
          row.params.repetition_penalty = penalty;
          row.params.top_k = filter == 1 ? 5 : 0;
          row.params.top_p = filter == 2 ? 1e-30f : 1.0f;
          row.params.min_p = filter == 3 ? 1.0f : 0.0f;
          row.sample.num_top = 2;
          const Sampler::Outcome outcome = sampler.sample(row.logits, row.sample);
          REQUIRE_FALSE(outcome.fault);
          REQUIRE((outcome.chosen.token >= 0 && outcome.chosen.token < kVocabulary));
          REQUIRE_FALSE(std::isnan(outcome.chosen.logprob));
        }
      }
    }
  }
}

TEST_CASE("ids outside the vocabulary in a client's lists are passed over") {
  Sampler sampler(kVocabulary, 0, {kVocabulary, -5});
  Row row;
  row.logits.assign(kVocabulary, 0.0f);
  row.logits[8] = 1.0f;
  row.params.temperature = 0.0f;
  row.params.logit_bias = {{kVocabulary, 100.0f}, {-1, 100.0f}, {2'000'000'000, 100.0f}};
  row.params.stop_token_ids = {kVocabulary + 1, -1};
  row.sample.mask_end_tokens = true;
  REQUIRE(sampler.sample(row.logits, row.finish()).chosen.token == 8);
}

TEST_CASE("a large vocabulary is filtered like a small one") {
  constexpr TokenId kMany = 100000;
  Sampler sampler(kMany, 20, {});
  std::mt19937 random(31);
  std::normal_distribution<float> normal(0.0f, 3.0f);
  for (int round = 0; round < 12; ++round) {
    Row row;
    row.logits.resize(kMany);
    for (float& logit : row.logits) logit = normal(random);
    row.params.top_k = round % 3 == 0 ? 0 : round * 4000;
    row.params.top_p = round % 2 == 0 ? 0.95f : 1.0f;
    row.params.seed = round;
    row.finish();
    const std::vector<double> logits(row.logits.begin(), row.logits.end());
    const std::vector<Share> shares = testing::distribution(logits, row.params);
    const double uniform = philox_uniform(row.params.seed, 0, 0);
    double sum = 0;
    TokenId expected = kNoToken;
    for (const Share& share : shares) {
      sum += share.probability;
      expected = share.token;
      if (sum > uniform) break;
    }
    REQUIRE(sampler.sample(row.logits, row.sample).chosen.token == expected);
  }
}

TEST_CASE("sampling allocates nothing") {
  Sampler sampler(kVocabulary, 5, kEndTokens);
  std::mt19937 random(13);
  for (int round = 0; round < 2000; ++round) {
    Row row;
    randomise(row, random);
    row.sample.num_top = 5;
    const std::int64_t before = quire::test::allocations_of_this_thread();
    const Sampler::Outcome outcome = sampler.sample(row.logits, row.sample);
    const std::int64_t after = quire::test::allocations_of_this_thread();
    REQUIRE(after == before);
    REQUIRE_FALSE(outcome.fault);
  }
}

}  // namespace
}  // namespace quire::engine
