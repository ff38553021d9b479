// ModelRunner on hand-made plans: mixed rows, scored tokens, copies, faults, and no allocation.

#include "engine/model_runner.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/engine/models/harness.h"
#include "tests/engine/models/support.h"
#include "tests/support/allocation_count.h"

// After our headers: Catch's CHECK is the one that holds here.
#include <catch2/catch.hpp>

namespace quire::engine {
namespace {

using scheduler::CopyKind;
using scheduler::StepOutput;
using scheduler::StepPlan;
using test::add_row;
using test::HandSequence;
using test::Harness;

std::vector<TokenId> counted(std::int32_t length, std::int32_t seed) {
  std::vector<TokenId> tokens;
  for (std::int32_t i = 0; i < length; ++i) tokens.push_back((seed * 37 + i * i * 11 + 5) % 300);
  return tokens;
}

// Adds a sample of every token of the plan's last row, scoring the token that follows.
void score_row(StepPlan& plan, const HandSequence& sequence) {
  const scheduler::StepRow& row = plan.rows.back();
  for (std::int32_t i = 0; i < row.num_tokens; ++i) {
    const auto next = static_cast<std::size_t>(row.first_position + i + 1);
    plan.samples.push_back(
        {.row = static_cast<std::int32_t>(plan.rows.size()) - 1,
         .offset = i,
         .position = row.first_position + i + 1,
         .target = next < sequence.tokens.size() ? sequence.tokens[next] : kNoToken,
         .num_top = 3,
         .params = &sequence.params,
         .history = sequence.tokens});
  }
}

// A model of one hidden number per token, its id: logits favour id + 1; id 7 gives NaN.
class CountingModel final : public Model {
 public:
  CountingModel() {
    config_.vocab_size = 11;
    config_.hidden_size = 1;
    config_.num_layers = 1;
    config_.num_heads = 1;
    config_.num_kv_heads = 1;
    config_.head_dim = 8;
    config_.intermediate_size = 1;
    config_.max_position_embeddings = 512;
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
    largest_tile = std::max(largest_tile, hidden.rows);
    for (std::int64_t r = 0; r < hidden.rows; ++r) {
      const auto id = static_cast<std::int32_t>(*hidden.row(r));
      for (std::int32_t i = 0; i < 11; ++i) out.row(r)[i] = i == (id + 1) % 11 ? 5.0f : 0.0f;
      if (id == 7) out.row(r)[3] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  std::int64_t largest_tile = 0;

 private:
  ModelConfig config_;
  std::vector<float> hidden_;
};

struct CountingSetup {
  explicit CountingSetup(const test::BackendChoice& choice)
      : backend(choice.make()),
        storage(*backend, kv_spec(model.config(), 16, DType::kFloat32), 64),
        runner({.max_num_batched_tokens = 256, .max_num_seqs = 64, .max_model_len = 512}, model,
               storage, *backend) {}
  CountingModel model;
  std::unique_ptr<Backend> backend;
  KvStorage storage;
  ModelRunner runner;
};

}  // namespace

TEST_CASE("runner: a prefill and a decode in one step give what each gives alone") {
  const auto folder = test::golden_folder() / "llama-f32";
  for (const auto& choice : test::backends()) {
    Harness harness(folder, choice);
    StepPlan plan;
    StepOutput alone_a;
    StepOutput alone_b;
    StepOutput together;
    HandSequence a(counted(20, 1), 0, 1, 64, 16);
    HandSequence b(counted(33, 2), 10, 1, 64, 16);
    add_row(plan, a, 19, false, 16);  // a's prefill but for one token
    harness.runner->execute(plan, alone_a);
    CHECK(alone_a.samples.empty());

    HandSequence a_again = a;
    plan.clear();
    add_row(plan, a, 1, true, 16);
    harness.runner->execute(plan, alone_a);
    plan.clear();
    add_row(plan, b, 33, true, 16);
    harness.runner->execute(plan, alone_b);

    HandSequence b_again(counted(33, 2), 20, 2, 64, 16);  // other pages
    plan.clear();
    add_row(plan, a_again, 1, true, 16);
    add_row(plan, b_again, 33, true, 16);
    plan.step_id = StepId{7};
    harness.runner->execute(plan, together);
    CHECK(together.step_id == StepId{7});
    REQUIRE(together.samples.size() == 2);
    REQUIRE(together.tokens.size() == 2);
    CHECK(together.tokens[0].token == alone_a.tokens[0].token);
    CHECK(together.tokens[0].logprob == alone_a.tokens[0].logprob);
    CHECK(together.tokens[1].token == alone_b.tokens[0].token);
    CHECK(together.tokens[1].logprob == alone_b.tokens[0].logprob);
    REQUIRE(together.top.size() == 10);
    CHECK(std::equal(together.top.begin() + 5, together.top.end(), alone_b.top.begin()));
    CHECK(together.top[0].token == together.tokens[0].token);
  }
}

TEST_CASE("runner: scoring a prompt in one step and token by token gives the same bits") {
  const auto folder = test::golden_folder() / "gpt2-bf16";
  for (const auto& choice : test::backends()) {
    Harness harness(folder, choice, {.kv_dtype = DType::kBFloat16});
    const std::vector<TokenId> prompt = counted(100, 3);  // more samples than a tile of logits
    StepPlan plan;
    StepOutput whole;
    HandSequence sequence(prompt, 0, 1, 128, 16);
    add_row(plan, sequence, 100, false, 16);
    score_row(plan, sequence);
    harness.runner->execute(plan, whole);
    REQUIRE(whole.tokens.size() == 100);
    REQUIRE(whole.top.size() == 300);
    for (std::size_t i = 0; i + 1 < prompt.size(); ++i)
      CHECK(whole.tokens[i].token == prompt[i + 1]);

    HandSequence chunked(prompt, 40, 1, 128, 16);
    for (std::size_t i = 0; i < prompt.size(); ++i) {
      StepOutput one;
      plan.clear();
      add_row(plan, chunked, 1, false, 16);
      score_row(plan, chunked);
      harness.runner->execute(plan, one);
      REQUIRE(one.tokens.size() == 1);
      REQUIRE(one.tokens[0].token == whole.tokens[i].token);
      REQUIRE(one.tokens[0].logprob == whole.tokens[i].logprob);
      REQUIRE(std::equal(one.top.begin(), one.top.end(), whole.top.begin() + 3 * i));
    }
  }
}

TEST_CASE("runner: sampled rows are the same for any number of threads and any company") {
  const auto folder = test::golden_folder() / "llama-bf16";
  std::vector<std::pair<TokenId, float>> first;
  for (const auto& choice : test::backends()) {
    Harness harness(folder, choice);
    std::vector<HandSequence> sequences;
    for (std::int32_t i = 0; i < 24; ++i) {
      sequences.emplace_back(counted(1 + i % 7, i), i, 24, 16, 16);
      sequences.back().params.temperature = 0.9f;
      sequences.back().params.top_p = 0.95f;
      sequences.back().params.seed = 1000u + i;
    }
    StepPlan plan;
    StepOutput together;
    for (HandSequence& s : sequences) {
      add_row(plan, s, static_cast<std::int32_t>(s.tokens.size()), true, 16);
    }
    harness.runner->execute(plan, together);
    REQUIRE(together.tokens.size() == 24);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      StepOutput alone;
      plan.clear();
      sequences[i].computed = 0;
      add_row(plan, sequences[i], static_cast<std::int32_t>(sequences[i].tokens.size()), true, 16);
      harness.runner->execute(plan, alone);
      INFO(choice.name << ", sequence " << i);
      CHECK(alone.tokens[0].token == together.tokens[i].token);
      CHECK(alone.tokens[0].logprob == together.tokens[i].logprob);
    }
  }
}

TEST_CASE("runner: copies happen before the step's own writes") {
  const auto folder = test::golden_folder() / "llama-f32";
  for (const auto& choice : test::backends()) {
    Harness harness(folder, choice);
    StepPlan plan;
    StepOutput original;
    StepOutput forked;
    HandSequence a(counted(20, 4), 0, 1, 64, 16);  // blocks 0 and 1
    add_row(plan, a, 20, false, 16);
    harness.runner->execute(plan, original);
    HandSequence fork = a;
    fork.tokens.push_back(11);
    a.tokens.push_back(11);
    fork.blocks[1] = BlockId{9};  // the partly filled block is copied, the full one shared
    plan.clear();
    plan.copies.push_back({.kind = CopyKind::kCopyOnWrite, .from = BlockId{1}, .to = BlockId{9}});
    add_row(plan, fork, 1, true, 16);
    harness.runner->execute(plan, forked);
    CHECK(forked.copies_completed == 1);
    plan.clear();
    add_row(plan, a, 1, true, 16);
    harness.runner->execute(plan, original);
    CHECK(original.copies_completed == 0);
    CHECK(forked.tokens[0].token == original.tokens[0].token);
    CHECK(forked.tokens[0].logprob == original.tokens[0].logprob);

    plan.clear();  // copies alone are a step, too
    plan.copies.push_back({.kind = CopyKind::kCopyOnWrite, .from = BlockId{1}, .to = BlockId{12}});
    harness.runner->execute(plan, original);
    CHECK(original.copies_completed == 1);
    CHECK(original.samples.empty());
    const auto bytes = static_cast<std::size_t>(harness.storage->page_bytes());
    CHECK(std::equal(harness.storage->page(BlockId{1}), harness.storage->page(BlockId{1}) + bytes,
                     harness.storage->page(BlockId{12})));
  }
}

TEST_CASE("runner: a row whose logits are not finite is a fault of that row alone") {
  for (const auto& choice : test::backends()) {
    CountingSetup setup(choice);
    std::vector<HandSequence> sequences;
    for (std::int32_t i = 0; i < 50; ++i) {
      sequences.emplace_back(std::vector<TokenId>{i % 11}, i, 50, 16, 16);
    }
    StepPlan plan;
    StepOutput output;
    for (HandSequence& s : sequences) add_row(plan, s, 1, true, 16);
    setup.runner.execute(plan, output);
    CHECK(setup.model.largest_tile == kLogitRows);
    REQUIRE(output.samples.size() == 50);
    std::size_t tokens = 0;
    for (std::int32_t i = 0; i < 50; ++i) {
      const scheduler::SampleOutput& sample = output.samples[i];
      CHECK(sample.fault == (i % 11 == 7));
      REQUIRE(sample.num_tokens == (i % 11 == 7 ? 0 : 1));
      if (sample.fault) continue;
      CHECK(sample.token_begin == static_cast<std::int32_t>(tokens++));
      CHECK(output.tokens[sample.token_begin].token == (i % 11 + 1) % 11);
      CHECK(output.tokens[sample.token_begin].top_begin ==
            static_cast<std::int32_t>((tokens - 1) * 5));
    }
    CHECK(output.tokens.size() == tokens);
  }
}

TEST_CASE("runner: a row may continue with a sample of the step before") {
  CountingSetup setup(test::backends().front());
  HandSequence a({2}, 0, 1, 64, 16);
  HandSequence b({7}, 4, 1, 64, 16);  // faults
  StepPlan plan;
  StepOutput output;
  add_row(plan, a, 1, true, 16);
  add_row(plan, b, 1, true, 16);
  setup.runner.execute(plan, output);
  REQUIRE(output.tokens.size() == 1);
  for (TokenId expected = 4; expected < 7; ++expected) {
    plan.clear();
    for (HandSequence* s : {&a, &b}) {
      s->tokens.push_back(kNoToken);  // not known when the plan is made
      add_row(plan, *s, 1, true, 16);
      plan.rows.back().source_sample = static_cast<std::int32_t>(plan.rows.size()) - 1;
    }
    setup.runner.execute(plan, output);
    REQUIRE(output.samples.size() == 2);
    CHECK(output.tokens[output.samples[0].token_begin].token == expected);
  }
}

TEST_CASE("runner: after the first step nothing is allocated") {
  const auto folder = test::golden_folder() / "llama-f32";
  for (const auto& choice : test::backends()) {
    Harness harness(folder, choice);
    std::vector<HandSequence> sequences;
    for (std::int32_t i = 0; i < 8; ++i) {
      sequences.emplace_back(counted(40, i), i, 8, 200, 16);
      sequences.back().params.temperature = i % 2 == 0 ? 0.0f : 1.0f;
      sequences.back().params.top_k = i % 3 == 0 ? 20 : 0;
      sequences.back().params.num_logprobs = 20;
      sequences.back().tokens.reserve(200);
    }
    StepPlan plan;
    StepOutput output;
    std::int64_t allocated = 0;
    for (std::int32_t step = 0; step < 100; ++step) {
      plan.clear();
      for (std::size_t i = 0; i < sequences.size(); ++i) {
        HandSequence& s = sequences[i];
        const auto left = static_cast<std::int32_t>(s.tokens.size()) - s.computed;
        const std::int32_t n = std::min<std::int32_t>(left, 7 + static_cast<std::int32_t>(i));
        add_row(plan, s, n, n == left, 16);
      }
      const std::int64_t before = quire::test::allocations_of_this_thread();
      harness.runner->execute(plan, output);
      if (step > 0) allocated += quire::test::allocations_of_this_thread() - before;
      for (std::size_t k = 0; k < plan.samples.size(); ++k) {
        sequences[static_cast<std::size_t>(plan.samples[k].row)].tokens.push_back(
            output.tokens[output.samples[k].token_begin].token);
      }
    }
    INFO(choice.name);
    CHECK(allocated == 0);
    CHECK(sequences[0].tokens.size() > 100);
  }
}

}  // namespace quire::engine
