#pragma once
// A model folder loaded as the engine loads it, and steps of a wished shape on it: what bench_model
// measures. Everything is borrowed from the product: backend, model, pool, ModelRunner.
//
// Lifetime: one per loaded folder. One thread, which is worker 0 of the backend's pool.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/model_runner.h"
#include "tests/bench/timed_backend.h"

namespace quire::bench {

inline constexpr std::int32_t kLargestStep = 512;  // tokens; the product's default

struct LoadOptions {
  std::filesystem::path folder;
  int threads = 0;              // 0: as many as the process may use
  std::string isa;              // "": the best
  bool int8 = false;            // --quantization int8
  bool ops = false;             // note how long each op takes
  std::string dtype;            // "": the file's own
  std::string kv_dtype;         // "": the weights'
  std::int32_t longest = 1024;  // tokens of a sequence
  std::int32_t sequences = 32;
};

// A step that can be run again and again: its rows always stand at the same positions.
struct Step {
  std::int64_t tokens = 0;
  std::int64_t samples = 0;
  double keys = 0;  // summed over tokens: how many positions each attends to
  scheduler::StepPlan plan;
  std::vector<TokenId> history;  // what the samples' spans point into
};

class LoadedModel final {
 public:
  explicit LoadedModel(const LoadOptions& options);
  ~LoadedModel();
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;

  [[nodiscard]] const engine::ModelConfig& config() const { return config_; }
  [[nodiscard]] std::string_view backend_name() const { return backend_->name(); }
  [[nodiscard]] double load_seconds() const { return load_seconds_; }
  // Of the packed weights, all of which a decoding step reads (embeddings are tied).
  [[nodiscard]] std::int64_t weight_bytes() const { return model_->weight_bytes(); }

  // `sequences` rows of `tokens` each, the last of `context`; one sample per row.
  [[nodiscard]] std::unique_ptr<Step> step(std::int32_t sequences, std::int32_t context,
                                           std::int32_t tokens) const;
  void run(const Step& step);
  // Null unless asked for.
  [[nodiscard]] TimedBackend* timed() { return timed_; }
  // 2 x body parameters x tokens + attention + output head for sampled rows.
  [[nodiscard]] double flops(const Step& step) const;

 private:
  engine::ModelConfig config_;
  double load_seconds_ = 0;
  SamplingParams sampling_;
  std::unique_ptr<engine::Backend> backend_;
  TimedBackend* timed_ = nullptr;  // the same one
  std::unique_ptr<engine::KvStorage> storage_;
  std::unique_ptr<engine::Model> model_;
  std::unique_ptr<engine::ModelRunner> runner_;
  scheduler::StepOutput output_;
};

}  // namespace quire::bench
