#pragma once
// A model with its backend, pages and runner, and sequences that are driven by hand-made plans.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/kv_storage.h"
#include "engine/model_runner.h"
#include "engine/models/model.h"
#include "scheduler/step.h"

namespace quire::test {

struct BackendChoice {
  const char* name;
  std::function<std::unique_ptr<engine::Backend>()> make;
};
// Every backend that this build has; cpu with one and with two threads.
[[nodiscard]] const std::vector<BackendChoice>& backends();

struct HarnessOptions {
  std::int32_t block_size = 16;
  std::int64_t num_blocks = 128;
  DType kv_dtype = DType::kFloat32;
  std::optional<DType> convert = std::nullopt;
  std::optional<DType> product_dtype = std::nullopt;
  std::int64_t max_num_batched_tokens = 1024;
};

struct Harness {
  Harness(const std::filesystem::path& folder, const BackendChoice& choice,
          const HarnessOptions& options = {});

  engine::ModelConfig config;
  std::unique_ptr<engine::Backend> backend;
  std::unique_ptr<engine::Model> model;
  std::unique_ptr<engine::KvStorage> storage;
  std::unique_ptr<engine::ModelRunner> runner;
  std::int32_t block_size;
};

// One sequence: its tokens, its blocks, and how many tokens are in the cache.
struct HandSequence {
  std::vector<TokenId> tokens;
  std::vector<BlockId> blocks;
  std::int32_t computed = 0;
  SamplingParams params;

  // Blocks `first`, `first` + stride, ... for up to `max_tokens` tokens; greedy with 5 logprobs.
  HandSequence(std::vector<TokenId> prompt, std::int32_t first, std::int32_t stride,
               std::int32_t max_tokens, std::int32_t block_size);
};

// Appends the next `n` tokens of a sequence to the plan, with a sample of the last where wanted.
void add_row(scheduler::StepPlan& plan, HandSequence& sequence, std::int32_t n, bool sample,
             std::int32_t block_size);

// The logits of every token of `tokens` in float32 [token][vocab], computed in steps of `chunk`.
[[nodiscard]] std::vector<float> logits_of(Harness& harness, const std::vector<TokenId>& tokens,
                                           std::int32_t chunk);

// Greedy continuations of several prompts at the same time, each prompt in chunks of `chunk` and
// arriving one step after the one before it: prefills and decodes mix.
[[nodiscard]] std::vector<std::vector<TokenId>> greedy(
    Harness& harness, const std::vector<std::vector<TokenId>>& prompts, std::int32_t steps,
    std::int32_t chunk);

}  // namespace quire::test
