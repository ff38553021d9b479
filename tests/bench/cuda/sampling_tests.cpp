// Sampling on the device against the host's sampler: the same token and the same logprobs, for
// every kind of setting and for vocabularies of real models.

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/sampler.h"
#include "tests/bench/cuda/op_tests.h"

namespace quire::engine::bench {

namespace {

constexpr std::int32_t kRows = 32;
constexpr std::int32_t kTops = 20;
const std::vector<TokenId> kEndTokens{3, 7};

// Row r's settings: each bit of r switches one of them.
SamplingParams settings(std::int32_t r, int kind) {
  SamplingParams p;
  p.temperature = kind == 0 ? 0.0f : 0.8f;
  if (kind == 2) p.top_k = 1 + 37 * r;
  if (kind == 3) p.top_p = 0.02f * static_cast<float>(r + 1);
  if ((r & 1) != 0) p.min_p = 0.01f;
  if ((r & 2) != 0) p.repetition_penalty = 1.2f;
  if ((r & 4) != 0) p.presence_penalty = p.frequency_penalty = 0.3f;
  if ((r & 8) != 0) p.logit_bias = {{4, 2.5f}, {11, -100.0f}};
  p.seed = static_cast<std::uint64_t>(r) * 977 + static_cast<std::uint64_t>(kind);
  return p;
}

// Many ties; one row is not finite.
Matrix random_logits(std::int32_t vocab, std::mt19937& random) {
  Matrix logits = Matrix::random(kRows, vocab, random);
  for (std::int64_t i = 0; i < std::int64_t{kRows} * vocab; ++i) {
    float& logit = logits.data()[i];
    logit = i % 3 == 0 ? std::round(logit * 3.0f) : logit * 3.0f;
    if (i % 1009 == 0) logit = -std::numeric_limits<float>::infinity();
  }
  logits.data()[std::int64_t{5} * vocab + vocab / 2] = std::nanf("");
  return logits;
}

bool agrees(const SampledRow& got, const TokenLogprob* top, const Sampler::Outcome& expected) {
  if (expected.fault) return got.state == SampledRow::State::kFault;
  return got.state == SampledRow::State::kChosen && got.chosen == expected.chosen &&
         std::equal(expected.top.begin(), expected.top.end(), top, top + got.num_top);
}

void test_tile(Backend& gpu, Sampler& sampler, const Matrix& logits, int kind) {
  const std::vector<TokenId> history{1, 4, 9, 4, 4, 2};
  std::vector<SamplingParams> params;
  std::vector<scheduler::StepSample> samples;
  for (std::int32_t r = 0; r < kRows; ++r) params.push_back(settings(r, kind));
  for (std::int32_t r = 0; r < kRows; ++r) {
    samples.push_back({.position = r,
                       .target = r % 11 == 10 ? TokenId{12} : kNoToken,
                       .num_prompt_tokens = 2,
                       .num_top = r % 4 == 0 ? kTops : -1,
                       .mask_end_tokens = (r & 16) != 0,
                       .params = &params[static_cast<std::size_t>(r)],
                       .history = history});
  }
  std::vector<SampledRow> rows(kRows);
  std::vector<TokenLogprob> tops(kRows * kTops);
  const DeviceBuffer buffer = logits.upload(gpu);
  gpu.begin_step({});
  gpu.sample({.logits = logits.view(buffer),
              .samples = samples,
              .end_token_ids = kEndTokens,
              .rows = rows,
              .tops = tops,
              .tops_stride = kTops});
  gpu.end_step();
  int wrong = 0;
  int left = 0;
  for (std::size_t r = 0; r < kRows; ++r) {
    const float* row = logits.data() + static_cast<std::int64_t>(r) * logits.cols();
    const auto expected =
        sampler.sample({row, static_cast<std::size_t>(logits.cols())}, samples[r]);
    left += rows[r].state == SampledRow::State::kLeft ? 1 : 0;
    if (rows[r].state == SampledRow::State::kLeft) continue;
    wrong += agrees(rows[r], tops.data() + r * kTops, expected) ? 0 : 1;
  }
  const char* kinds[] = {"greedy", "temperature", "top_k", "top_p"};
  expect(wrong == 0 && left < kRows,
         std::string("sampling ") + kinds[kind] + " of " + std::to_string(logits.cols()) + ", " +
             std::to_string(left) + " of " + std::to_string(kRows) + " rows left to the host",
         wrong);
}

}  // namespace

void test_sampling(Backend& gpu) {
  std::mt19937 random(31);
  std::vector<std::int32_t> vocabs{50, 1025};
  if (!small) vocabs.insert(vocabs.end(), {32000, 128256, 151936});
  for (const std::int32_t vocab : vocabs) {
    Sampler sampler(vocab, kTops, kEndTokens);
    const Matrix logits = random_logits(vocab, random);
    for (int kind = 0; kind < 4; ++kind) test_tile(gpu, sampler, logits, kind);
  }
}

}  // namespace quire::engine::bench
