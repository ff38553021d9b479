#pragma once
// ModelRunner: executes a StepPlan on a model: BatchInput -> Model::forward -> logits -> Sampler ->
// StepOutput.
//
// Owns its scratch; borrows the model, the storage and the backend, which outlive it. Engine thread
// only. After construction execute() allocates nothing.
// Logits are made in tiles of kLogitRows sampled rows, so that scoring a long prompt needs no more
// memory than sampling a batch; a row's logits do not depend on the tiling (the law).

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/kv_storage.h"
#include "engine/models/model.h"
#include "engine/sampler.h"
#include "engine/step_executor.h"
#include "engine/tiers/host_pages.h"

namespace quire::engine {

inline constexpr std::int32_t kLogitRows = 32;

struct RunnerOptions {
  std::int64_t max_num_batched_tokens = 512;
  std::int64_t max_num_seqs = 256;
  std::int64_t max_model_len = 2048;
  std::int32_t max_logprobs = 20;
  const HostPages* host = nullptr;  // the host tier, which outlives the runner; null: none
};

class ModelRunner final : public StepExecutor {
 public:
  ModelRunner(const RunnerOptions& options, Model& model, KvStorage& storage, Backend& backend);
  ~ModelRunner() override;
  void execute(const scheduler::StepPlan& plan, scheduler::StepOutput& output) override;

 private:
  struct Scratch;
  void copy_pages(const scheduler::StepPlan& plan, scheduler::StepOutput& output);
  void sample(const scheduler::StepPlan& plan, TensorView hidden, scheduler::StepOutput& output);
  void sample_rest(const SampleTile& tile);

  Model* model_;
  KvStorage* storage_;
  Backend* backend_;
  const HostPages* host_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace quire::engine
