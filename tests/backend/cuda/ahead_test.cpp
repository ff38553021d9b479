// Steps ahead through ModelRunner on the fake device, whose work is done as late as it may be: what
// is waited for when, and that each step gets what it gets without running ahead.

#include <array>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "engine/backend/cuda/cuda_backend.h"
#include "engine/backend/cuda/device.h"
#include "engine/model_runner.h"
#include "tests/backend/cuda/fake_device.h"
#include "tests/backend/tensors.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using cuda::testing::fake_api;
using cuda::testing::fake_device;
using scheduler::StepOutput;
using scheduler::StepPlan;
using testing::FileTensor;
using testing::Matrix;

constexpr std::int32_t kVocab = 200;
constexpr std::int32_t kHidden = 16;  // 2 heads of 8
constexpr std::int32_t kBlock = 16;
constexpr std::int32_t kMaxRows = 80;
constexpr std::int32_t kBlocksEach = 2;

// One layer: what is chosen depends on all tokens before, through the pages.
class SmallModel final : public Model {
 public:
  explicit SmallModel(Backend& backend) : backend_(&backend) {
    config_.vocab_size = kVocab;
    config_.hidden_size = config_.intermediate_size = kHidden;
    config_.num_layers = 1;
    config_.num_heads = config_.num_kv_heads = 2;
    config_.head_dim = 8;
    config_.max_position_embeddings = 64;
    config_.eos_token_ids = {2};
    std::mt19937 random(11);
    table_ = weight(kVocab, random);
    for (auto& projection : projections_) projection = weight(kHidden, random);
  }
  [[nodiscard]] const ModelConfig& config() const override { return config_; }
  [[nodiscard]] std::int64_t weight_bytes() const override { return 0; }
  void reserve(std::int64_t max_tokens, std::int64_t max_samples) override {
    for (auto& activation : activations_) activation = Matrix(max_tokens, kHidden);
    chosen_ = Matrix(max_samples, kHidden);
  }
  [[nodiscard]] TensorView forward(const BatchInput& batch, const KvStorage& kv) override {
    const std::int64_t tokens = batch.num_tokens();
    std::array<TensorView, 5> x;
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = activations_[i].rows_of(0, tokens);
    backend_->embed(*table_, batch.token_ids, x[0]);
    for (std::size_t i = 0; i < 3; ++i) backend_->linear(x[0], *projections_[i], nullptr, x[i + 1]);
    const KvLayer layer = kv.layer(0, 0);
    backend_->rope_and_write_kv(x[1], x[2], x[3], {}, layer, batch);
    backend_->attention(x[1], layer, {.num_heads = 2, .scale = 1.0f}, batch, x[4]);
    const auto samples = static_cast<std::int64_t>(batch.sample_tokens.size());
    const TensorView out = chosen_.rows_of(0, samples);
    backend_->gather_rows(x[4], batch.sample_tokens, out);
    return out;
  }
  void logits(TensorView hidden, TensorView out) override {
    backend_->linear(hidden, *table_, nullptr, out);
  }

 private:
  std::unique_ptr<Weight> weight(std::int64_t rows, std::mt19937& random) {
    const FileTensor file(Matrix::random(rows, kHidden, random), DType::kFloat32);
    const HostTensor parts[] = {file.tensor()};
    return backend_->prepare_weight(parts, DType::kFloat32);
  }

  Backend* backend_;
  ModelConfig config_;
  std::unique_ptr<Weight> table_;
  std::array<std::unique_ptr<Weight>, 3> projections_;
  std::array<Matrix, 5> activations_{Matrix(0, 0), Matrix(0, 0), Matrix(0, 0), Matrix(0, 0),
                                     Matrix(0, 0)};
  Matrix chosen_{0, 0};
};

// Sequences that begin with a token of their own and decode; plans by hand.
class Decodes {
 public:
  explicit Decodes(std::int32_t count, bool use_graphs = true)
      : count_(count), params_(static_cast<std::size_t>(count)), tokens_(params_.size()) {
    fake_device() = {};
    backend_ = make_cuda_backend(fake_api(), {.num_threads = 1, .use_graphs = use_graphs});
    model_ = std::make_unique<SmallModel>(*backend_);
    storage_ = std::make_unique<KvStorage>(
        *backend_, kv_spec(model_->config(), kBlock, DType::kFloat32), kMaxRows * kBlocksEach);
    runner_ = std::make_unique<ModelRunner>(
        RunnerOptions{
            .max_num_batched_tokens = kMaxRows, .max_num_seqs = kMaxRows, .max_model_len = 64},
        *model_, *storage_, *backend_);
    for (std::int32_t r = 0; r < count; ++r) {
      params_[static_cast<std::size_t>(r)].seed = static_cast<std::uint64_t>(r);
      params_[static_cast<std::size_t>(r)].temperature = r % 4 == 0 ? 0.0f : 1.0f;
      tokens_[static_cast<std::size_t>(r)] = {3 + r};
    }
  }

  // The step at `position`; ahead: its tokens are those of the step before.
  void fill(StepPlan& plan, std::int32_t position, bool ahead) {
    plan.clear();
    plan.step_id = StepId{static_cast<std::uint64_t>(position) + 1};
    for (std::int32_t r = 0; r < count_; ++r) {
      auto& known = tokens_[static_cast<std::size_t>(r)];
      plan.rows.push_back({.token_begin = r,
                           .num_tokens = 1,
                           .first_position = position,
                           .context_len = position + 1,
                           .block_begin = static_cast<std::int32_t>(plan.block_ids.size()),
                           .num_blocks = position / kBlock + 1,
                           .source_sample = ahead ? r : -1});
      plan.tokens.push_back(ahead ? kNoToken : known.at(static_cast<std::size_t>(position)));
      for (std::int32_t b = 0; b <= position / kBlock; ++b) {
        plan.block_ids.push_back(BlockId{r * kBlocksEach + b});
      }
      plan.samples.push_back({.row = r,
                              .position = position + 1,
                              .num_prompt_tokens = 1,
                              .num_top = r % 3 == 0 ? 4 : -1,
                              .params = &params_[static_cast<std::size_t>(r)],
                              .history = {known.data(), std::min<std::size_t>(known.size(), 1)}});
    }
  }
  void take(const StepOutput& output) {
    for (std::size_t r = 0; r < tokens_.size(); ++r) {
      const auto& sample = output.samples[r];
      tokens_[r].push_back(sample.num_tokens == 0 ? kNoToken
                                                  : output.tokens[sample.token_begin].token);
    }
    for (const auto& token : output.tokens) logprobs_.push_back(token.logprob);
    tops_.insert(tops_.end(), output.top.begin(), output.top.end());
  }

  // `steps` of them, one after the other or each launched before the one before is collected.
  void run(std::int32_t steps, bool ahead) {
    StepOutput output;
    if (!ahead) {
      for (std::int32_t i = 0; i < steps; ++i) {
        fill(plans_[0], i, false);
        runner_->execute(plans_[0], output);
        take(output);
      }
      return;
    }
    fill(plans_[0], 0, false);
    REQUIRE(runner_->launch(plans_[0]));
    for (std::int32_t i = 0; i < steps; ++i) {
      if (i + 1 < steps) {
        fill(plans_[(i + 1) % 2], i + 1, true);
        REQUIRE(runner_->launch(plans_[(i + 1) % 2]));
      }
      runner_->collect(output);
      REQUIRE(output.step_id == plans_[i % 2].step_id);
      take(output);
    }
  }

  std::int32_t count_;
  std::vector<SamplingParams> params_;
  std::vector<std::vector<TokenId>> tokens_;
  std::vector<float> logprobs_;
  std::vector<TokenLogprob> tops_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<SmallModel> model_;
  std::unique_ptr<KvStorage> storage_;
  std::unique_ptr<ModelRunner> runner_;
  std::array<StepPlan, 2> plans_;
};

TEST_CASE("steps ahead choose what steps one by one choose") {
  for (const std::int32_t count : {1, 3, 8, 33, 70}) {
    INFO(count << " rows");
    Decodes plain(count);
    plain.run(20, false);
    for (const bool use_graphs : {true, false}) {
      Decodes ahead(count, use_graphs);
      ahead.run(20, true);
      CHECK(ahead.tokens_ == plain.tokens_);
      CHECK(ahead.logprobs_ == plain.logprobs_);
      CHECK(ahead.tops_ == plain.tops_);
    }
    // They differ from each other, or the comparison says nothing.
    if (count > 1) CHECK(plain.tokens_[0] != plain.tokens_[1]);
  }
}

TEST_CASE("a step is uploaded and started without a wait, and results are waited for alone") {
  Decodes d(70);  // three tiles of logits
  d.fill(d.plans_[0], 0, false);
  (void)d.runner_->launch(d.plans_[0]);  // allocates what the first step does
  StepOutput output;
  d.runner_->collect(output);
  d.take(output);
  fake_device().waits = fake_device().copies = fake_device().runs = 0;
  const std::int64_t done = fake_device().ops_done;
  const std::int64_t ops = fake_device().ops;
  d.fill(d.plans_[0], 1, false);
  REQUIRE(d.runner_->launch(d.plans_[0]));
  const std::int64_t per_step = fake_device().ops - ops;
  CHECK(fake_device().copies == 4);  // the step's data, its samples', results and logprobs
  d.fill(d.plans_[1], 2, true);
  REQUIRE(d.runner_->launch(d.plans_[1]));
  CHECK(fake_device().copies == 8);
  CHECK(fake_device().waits == 0);
  CHECK(fake_device().ops_done == done);
  d.runner_->collect(output);
  d.take(output);
  CHECK(fake_device().waits == 1);
  CHECK(fake_device().ops_done == done + per_step);  // nothing of the step behind it
  d.runner_->collect(output);
  CHECK(fake_device().waits == 2);
  CHECK(fake_device().ops_done == done + 2 * per_step);
  CHECK(fake_device().runs == 0);  // graphs alone
}

TEST_CASE("one graph for a batch's size, whichever turn a step has and where its tokens are") {
  Decodes d(33);  // of 40 rows in two tiles
  d.run(9, true);
  // The first step's embedding knew of no samples before it, or it did: one or the same.
  CHECK(fake_device().graphs == 1);
  CHECK(fake_device().graph_launches == 9);
}

TEST_CASE("a step that the device cannot sample is computed whole, and not followed") {
  Decodes plain(5), d(5);
  for (Decodes* each : {&plain, &d}) each->params_[2].top_k = 1500;
  plain.run(1, false);
  d.fill(d.plans_[0], 0, false);
  CHECK_FALSE(d.runner_->launch(d.plans_[0]));
  StepOutput output;
  d.runner_->collect(output);
  d.take(output);
  CHECK(d.tokens_ == plain.tokens_);
}

TEST_CASE("a step that scores is computed whole, and not followed") {
  Decodes d(2);
  d.fill(d.plans_[0], 0, false);
  d.plans_[0].samples[1].target = 9;
  CHECK_FALSE(d.runner_->launch(d.plans_[0]));
  StepOutput output;
  d.runner_->collect(output);
  CHECK(output.tokens[1].token == 9);
}

TEST_CASE("a device that is lost in a step ends that step and the one behind it") {
  const std::int64_t behind = GENERATE(0, 1);
  Decodes d(3, false);
  StepOutput output;
  d.fill(d.plans_[0], 0, false);
  REQUIRE(d.runner_->launch(d.plans_[0]));
  const std::int64_t per_step = fake_device().ops;
  d.fill(d.plans_[1], 1, true);
  REQUIRE(d.runner_->launch(d.plans_[1]));
  fake_device().ops_before_loss = behind * per_step + 1;
  if (behind > 0) d.runner_->collect(output);
  CHECK_THROWS_AS(d.runner_->collect(output), cuda::DeviceLost);
  CHECK_THROWS_AS((void)d.runner_->launch(d.plans_[0]), cuda::DeviceLost);
}

TEST_CASE("nothing is left under way where a backend goes with steps in flight") {
  Decodes d(3);
  d.fill(d.plans_[0], 0, false);
  REQUIRE(d.runner_->launch(d.plans_[0]));
  d.fill(d.plans_[1], 1, true);
  REQUIRE(d.runner_->launch(d.plans_[1]));
  d.runner_.reset();
  CHECK(fake_device().ops_done == fake_device().ops);  // while the model's memory is there
  d.storage_.reset();
  d.model_.reset();
  d.backend_.reset();
  CHECK(fake_device().used_bytes == 0);
}

}  // namespace
}  // namespace quire::engine
