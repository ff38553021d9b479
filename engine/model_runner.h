#pragma once
// ModelRunner: executes a StepPlan on a model: BatchInput -> Model::forward -> logits -> Sampler ->
// StepOutput.
//
// Owns its scratch; borrows the model, the storage and the backend, which outlive it. Engine thread
// only. After construction execute() allocates nothing.
// On a backend that runs ahead, launch() starts steps that collect() waits for, sampled on the
// device alone. A step for which that cannot be is computed whole by collect(), and none is
// launched behind it. Where the device could not choose after all, the choice is put off, and the
// next kStepsAlone steps are computed whole: the host's sampler makes it. Logits are made in tiles
// of kLogitRows sampled rows, so that scoring a long prompt needs no more memory than sampling a
// batch; a row's logits do not depend on the tiling (the law).

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/kv_storage.h"
#include "engine/models/model.h"
#include "engine/sampler.h"
#include "engine/step_executor.h"
#include "engine/tiers/host_pages.h"

namespace quire::engine {

inline constexpr std::int32_t kLogitRows = 32;
inline constexpr std::int32_t kStepsAlone = 32;

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
  [[nodiscard]] bool runs_ahead() const override { return backend_->runs_ahead(); }
  [[nodiscard]] bool launch(const scheduler::StepPlan& plan) override;
  void collect(scheduler::StepOutput& output) override;

 private:
  struct Scratch;
  struct Launched {
    const scheduler::StepPlan* plan = nullptr;
    bool started = false;  // else collect() computes it
    std::size_t num_samples = 0;
  };
  void begin_output(const scheduler::StepPlan& plan, scheduler::StepOutput& output);
  [[nodiscard]] BatchInput begin_step(const scheduler::StepPlan& plan);
  [[nodiscard]] bool prepare_samples(const scheduler::StepPlan& plan);
  void start(const scheduler::StepPlan& plan);
  [[nodiscard]] std::span<SampledRow> finish_oldest();
  void copy_pages(const scheduler::StepPlan& plan);
  void sample(const scheduler::StepPlan& plan, TensorView hidden, scheduler::StepOutput& output);
  void sample_rest(const SampleTile& tile);

  Model* model_;
  KvStorage* storage_;
  Backend* backend_;
  const HostPages* host_;
  std::unique_ptr<Scratch> scratch_;
  std::array<Launched, 2> launched_;  // and not collected, the oldest first
  std::size_t num_launched_ = 0;
  std::int32_t steps_alone_ = 0;  // to come
};

}  // namespace quire::engine
