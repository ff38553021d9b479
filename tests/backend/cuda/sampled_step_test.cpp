// A step's samples through ModelRunner, on a device that samples and on the reference, where the
// host does: the same output, also where the device leaves rows of a tile to the host.

#include <cmath>
#include <memory>
#include <random>

#include "engine/backend/cuda/cuda_backend.h"
#include "engine/model_runner.h"
#include "tests/backend/cuda/fake_device.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using cuda::testing::fake_api;
using cuda::testing::fake_device;
using scheduler::StepOutput;
using scheduler::StepPlan;

constexpr std::int32_t kVocab = 2000;
constexpr std::int32_t kBlock = 16;

// Logits that are numbers made of the token's id; of id 7 they are none.
class NoiseModel final : public Model {
 public:
  NoiseModel() {
    config_.vocab_size = kVocab;
    config_.hidden_size = config_.num_layers = config_.num_heads = config_.num_kv_heads = 1;
    config_.intermediate_size = 1;
    config_.head_dim = 8;
    config_.max_position_embeddings = 512;
    config_.eos_token_ids = {2};
  }
  [[nodiscard]] const ModelConfig& config() const override { return config_; }
  [[nodiscard]] std::int64_t weight_bytes() const override { return 0; }
  void reserve(std::int64_t, std::int64_t max_samples) override {
    hidden_.resize(static_cast<std::size_t>(max_samples));
  }
  [[nodiscard]] TensorView forward(const BatchInput& batch, const KvStorage&) override {
    for (std::size_t s = 0; s < batch.sample_tokens.size(); ++s) {
      hidden_[s] = static_cast<float>(batch.token_ids[batch.sample_tokens[s]]);
    }
    const auto rows = static_cast<std::int64_t>(batch.sample_tokens.size());
    return {.data = hidden_.data(), .rows = rows, .cols = 1, .row_stride = 1};
  }
  void logits(TensorView hidden, TensorView out) override {
    for (std::int64_t r = 0; r < hidden.rows; ++r) {
      std::mt19937 random(static_cast<unsigned>(*hidden.row(r)));
      std::normal_distribution<float> normal(0.0f, 2.0f);
      for (std::int32_t i = 0; i < kVocab; ++i) out.row(r)[i] = normal(random);
      if (*hidden.row(r) == 7.0f) out.row(r)[3] = std::nanf("");
    }
  }

 private:
  ModelConfig config_;
  std::vector<float> hidden_;
};

// Rows of one token each. Of every five, one wants more order than the device makes (left), one
// logprobs, one penalties, one a nucleus that may be too wide.
struct Rows {
  explicit Rows(std::int32_t count) : params(static_cast<std::size_t>(count)) {
    for (std::int32_t r = 0; r < count; ++r) {
      SamplingParams& p = params[static_cast<std::size_t>(r)];
      p.seed = static_cast<std::uint64_t>(r);
      if (r % 5 == 1) p.top_k = 1500;
      if (r % 5 == 3) p.repetition_penalty = 1.3f;
      if (r % 5 == 4) p.top_p = 0.9f;
      plan.rows.push_back({.token_begin = r,
                           .num_tokens = 1,
                           .first_position = 0,
                           .context_len = 1,
                           .block_begin = r,
                           .num_blocks = 1});
      plan.tokens.push_back(r + 1);
      plan.block_ids.push_back(BlockId{r});
      plan.samples.push_back({.row = r,
                              .position = 1,
                              .num_prompt_tokens = 1,
                              .num_top = r % 5 == 2 ? 5 : -1,
                              .params = &p,
                              .history = history});
    }
  }
  std::vector<TokenId> history{5, 6, 7};
  std::vector<SamplingParams> params;
  StepPlan plan;
};

StepOutput run(Backend& backend, const StepPlan& plan) {
  NoiseModel model;
  KvStorage storage(backend, kv_spec(model.config(), kBlock, DType::kFloat32), 64);
  ModelRunner runner({.max_num_batched_tokens = 64, .max_num_seqs = 64, .max_model_len = 64}, model,
                     storage, backend);
  StepOutput output;
  runner.execute(plan, output);
  return output;
}

TEST_CASE("a step sampled on the device is the step sampled on the host, row by row") {
  for (const std::int32_t count : {1, 2, 5, 33, 47}) {
    INFO(count << " rows");
    Rows rows(count);
    fake_device() = {};
    const auto device = make_cuda_backend(fake_api(), {.num_threads = 2});
    const StepOutput got = run(*device, rows.plan);
    const StepOutput expected = run(*make_reference_backend(), rows.plan);
    REQUIRE(got.samples.size() == expected.samples.size());
    REQUIRE(got.tokens.size() == expected.tokens.size());
    for (std::size_t s = 0; s < got.samples.size(); ++s) {
      REQUIRE(got.samples[s].fault == expected.samples[s].fault);
      REQUIRE(got.samples[s].token_begin == expected.samples[s].token_begin);
    }
    for (std::size_t t = 0; t < got.tokens.size(); ++t) {
      REQUIRE(got.tokens[t].token == expected.tokens[t].token);
      REQUIRE(got.tokens[t].logprob == expected.tokens[t].logprob);
      REQUIRE(got.tokens[t].top_count == expected.tokens[t].top_count);
    }
    REQUIRE(got.top == expected.top);
    REQUIRE(got.samples.front().fault == false);
    if (count > 6) REQUIRE(got.samples[6].fault);
  }
}

TEST_CASE("a choice that the device cannot make after all is put off, and made by the host") {
  Rows rows(5);
  rows.params[1] = rows.params[0];  // nothing that is known to be the host's before
  rows.params[4].top_p = 0.9999f;   // of logits that are nearly alike
  rows.params[4].temperature = 50.0f;
  fake_device() = {};
  const auto device = make_cuda_backend(fake_api(), {.num_threads = 2});
  NoiseModel model;
  KvStorage storage(*device, kv_spec(model.config(), kBlock, DType::kFloat32), 64);
  ModelRunner runner({.max_num_batched_tokens = 64, .max_num_seqs = 64, .max_model_len = 64}, model,
                     storage, *device);
  StepOutput output;
  REQUIRE(runner.launch(rows.plan));
  runner.collect(output);
  REQUIRE(output.samples.size() == 5);
  CHECK(output.tokens.size() == 4);
  CHECK(output.samples[4].num_tokens == 0);
  CHECK_FALSE(output.samples[4].fault);
  const StepOutput expected = run(*make_reference_backend(), rows.plan);
  for (std::int32_t alone = 0; alone < kStepsAlone; ++alone) {
    REQUIRE_FALSE(runner.launch(rows.plan));
    runner.collect(output);
    REQUIRE(output.tokens.size() == 5);
    for (std::size_t t = 0; t < 5; ++t) REQUIRE(output.tokens[t].token == expected.tokens[t].token);
  }
  CHECK(runner.launch(rows.plan));  // it is tried again
}

}  // namespace
}  // namespace quire::engine
