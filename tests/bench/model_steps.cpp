#include "tests/bench/model_steps.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>

#include "engine/kv_storage.h"
#include "engine/models/model.h"
#include "proto/error.h"

namespace quire::bench {
namespace {

constexpr std::int32_t kBlockSize = 16;

std::optional<DType> dtype_of(const std::string& name) {
  if (name.empty()) return std::nullopt;
  if (name == "float32") return DType::kFloat32;
  if (name == "float16") return DType::kFloat16;
  if (name == "bfloat16") return DType::kBFloat16;
  if (name == "int8") return DType::kInt8;
  if (name == "fp8") return DType::kFp8E4M3;
  throw StartupError(name + " is no dtype");
}

// Also compiles against a tree whose models have no int8.
template <typename Options>
bool ask_for_int8(Options& options) {
  if constexpr (requires { options.product_dtype; }) {
    options.product_dtype = DType::kInt8;
    return true;
  }
  return false;
}

engine::ModelOptions model_options(const LoadOptions& options, const engine::ModelConfig& config) {
  const auto dtype = dtype_of(options.dtype);
  if (dtype && !engine::is_float(*dtype)) throw StartupError("--dtype: must be a float type");
  engine::ModelOptions result;
  result.convert_dtype = dtype.has_value();
  result.dtype = dtype.value_or(config.weight_dtype);
  result.max_model_len = options.longest;
  if (options.int8 && !ask_for_int8(result)) {
    throw StartupError("--quantization int8: not in this build");
  }
  return result;
}

}  // namespace

LoadedModel::LoadedModel(const LoadOptions& options)
    : config_(engine::read_model_config(options.folder)) {
  const auto start = std::chrono::steady_clock::now();
  backend_ = engine::make_cpu_backend(options.threads, options.isa);
  if (options.ops) {
    auto timed = std::make_unique<TimedBackend>(std::move(backend_));
    timed_ = timed.get();
    backend_ = std::move(timed);
  }
  const DType kv_dtype =
      dtype_of(options.kv_dtype).value_or(dtype_of(options.dtype).value_or(config_.weight_dtype));
  const std::int64_t blocks =
      std::int64_t{options.sequences} * ((options.longest + kBlockSize - 1) / kBlockSize);
  storage_ = std::make_unique<engine::KvStorage>(
      *backend_, engine::kv_spec(config_, kBlockSize, kv_dtype), blocks);
  model_ = engine::load_model(options.folder, model_options(options, config_), *backend_);
  load_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  storage_->touch(blocks * storage_->page_bytes());
  const engine::RunnerOptions runner{.max_num_batched_tokens = kLargestStep,
                                     .max_num_seqs = options.sequences,
                                     .max_model_len = options.longest,
                                     .max_logprobs = 0};
  runner_ = std::make_unique<engine::ModelRunner>(runner, *model_, *storage_, *backend_);
  sampling_.temperature = 0.0f;
}

LoadedModel::~LoadedModel() = default;

std::unique_ptr<Step> LoadedModel::step(std::int32_t sequences, std::int32_t context,
                                        std::int32_t tokens) const {
  auto step = std::make_unique<Step>();
  std::mt19937 random(1);
  const auto word = [&] {
    return static_cast<TokenId>(random() % static_cast<unsigned>(config_.vocab_size));
  };
  for (std::int32_t i = 0; i < context; ++i) step->history.push_back(word());
  const std::int32_t per_row = (context + kBlockSize - 1) / kBlockSize;
  std::vector<BlockId> blocks;
  for (std::int32_t i = 0; i < sequences * per_row; ++i) blocks.push_back(BlockId{i});
  std::shuffle(blocks.begin(), blocks.end(), random);  // pages lie anywhere
  scheduler::StepPlan& plan = step->plan;
  plan.block_ids = blocks;
  for (std::int32_t row = 0; row < sequences; ++row) {
    plan.rows.push_back({.sequence = SequenceId{static_cast<std::uint64_t>(row + 1)},
                         .token_begin = row * tokens,
                         .num_tokens = tokens,
                         .first_position = context - tokens,
                         .context_len = context,
                         .block_begin = row * per_row,
                         .num_blocks = per_row});
    for (std::int32_t i = 0; i < tokens; ++i) plan.tokens.push_back(word());
    plan.samples.push_back({.row = row,
                            .offset = tokens - 1,
                            .position = context,
                            .num_prompt_tokens = context,
                            .params = &sampling_,
                            .history = step->history});
  }
  step->tokens = std::int64_t{sequences} * tokens;
  step->samples = sequences;
  step->keys = static_cast<double>(step->tokens) * (context - (tokens - 1) / 2.0);
  return step;
}

void LoadedModel::run(const Step& step) {
  output_.clear();
  runner_->execute(step.plan, output_);
  for (const auto& sample : output_.samples) {
    if (sample.fault) throw StartupError("logits that are not finite: nothing was measured");
  }
}

double LoadedModel::flops(const Step& step) const {
  const auto number = [](std::int64_t value) { return static_cast<double>(value); };
  const double width = number(config_.hidden_size);
  const double query = number(config_.num_heads) * number(config_.head_dim);
  const double key = number(config_.num_kv_heads) * number(config_.head_dim);
  const double layer =
      width * (2 * query + 2 * key) + 3 * width * number(config_.intermediate_size);
  const double body = number(config_.num_layers) * layer;
  const double attention = number(config_.num_layers) * 4 * step.keys * query;
  return 2 * body * number(step.tokens) + attention +
         2 * number(config_.vocab_size) * width * number(step.samples);
}

}  // namespace quire::bench
