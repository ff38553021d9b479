// load_engine(): from a model folder to a running engine.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine/backend/backend.h"
#include "engine/backend_choice.h"
#include "engine/engine.h"
#include "engine/kv_storage.h"
#include "engine/memory.h"
#include "engine/memory_plan.h"
#include "engine/model_runner.h"
#include "engine/models/generation_config.h"
#include "engine/models/model.h"
#include "engine/recompute_executor.h"
#include "engine/tiers/model_digest.h"
#include "engine/tiers/page_tiers.h"
#include "engine/tokenizer/tokenizer.h"
#include "proto/error.h"

namespace quire::engine {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kDefaultPool = 1024 * kMiB;
// Enough rows beside those that decode for products at their full speed, and few enough that a step
// stays short: tests/bench/cpu.md has what other numbers cost.
constexpr std::int32_t kCpuPrefillTokens = 128;

ModelOptions model_options(const EngineOptions& options, const ModelConfig& config,
                           const Backend& backend, std::int32_t max_model_len) {
  ModelOptions model{.convert_dtype = options.dtype.has_value(),
                     .dtype = options.dtype.value_or(config.weight_dtype),
                     .max_model_len = max_model_len};
  if (options.quantization == Quantization::kInt8) model.product_dtype = DType::kInt8;
  if (model.product_dtype && !backend.supports_weight_dtype(*model.product_dtype)) {
    throw StartupError("--quantization: int8 is not supported by the " +
                       std::string(backend.name()) + " backend");
  }
  return model;
}

// What the executor borrows, in the order in which it must outlive it.
struct Resources {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::unique_ptr<KvStorage> storage;
  std::unique_ptr<ModelRunner> runner;  // under --no-kv-cache: what the recomputing one drives
};

constexpr std::int64_t kMostBlocks = INT32_MAX;  // a BlockId's range

void check_block_size(const EngineOptions& options, const Backend& backend) {
  if (options.block_size > 0 && options.block_size % backend.block_size_multiple() == 0) return;
  throw StartupError("--block-size: must be a multiple of " +
                     std::to_string(backend.block_size_multiple()));
}

DType kv_dtype_of(const EngineOptions& options, const ModelConfig& config, const Backend& backend) {
  const DType dtype = options.kv_dtype.value_or(options.dtype.value_or(config.weight_dtype));
  if (backend.supports_kv_dtype(dtype)) return dtype;
  throw StartupError("--kv-cache-dtype: not supported by the " + std::string(backend.name()) +
                     " backend");
}

ModelShape shape_of(const EngineOptions& options, const ModelConfig& config) {
  ModelShape shape = model_shape(config);
  shape.dtype = options.dtype.value_or(config.weight_dtype);
  return shape;
}

void check_fit(const EngineOptions& options, const MemoryPlan& plan) {
  const std::int64_t left = plan.memory - plan.weight_bytes - plan.workspace_bytes;
  const std::int64_t pages = options.kv_cache_memory.value_or(plan.page_bytes);
  if (plan.page_bytes <= pages && pages <= left) return;
  const std::string what =
      options.kv_cache_memory
          ? "--kv-cache-memory: " + size_text(pages) +
                (pages <= left ? " hold no page: " : " are too much: ")
          : (options.model_folder / "config.json").string() + ": the model does not fit: ";
  throw StartupError(what + plan_figures(plan));
}

// What `quire plan` prints for the same model and limits, for the blocks that will be allocated;
// refuses where it does not fit. Its max_model_len is cut to what one sequence can have.
MemoryPlan make_plan(const EngineOptions& options, const ModelConfig& config,
                     const Backend& backend) {
  check_block_size(options, backend);
  const std::int64_t most_tokens = config.max_position_embeddings;
  const std::int64_t model_len = options.max_model_len.value_or(config.max_position_embeddings);
  if (model_len < 1 || model_len > most_tokens) {
    throw StartupError("--max-model-len: must be 1 to the model's max_position_embeddings, " +
                       std::to_string(most_tokens));
  }
  const auto device = backend.device_memory();
  const std::int64_t memory = device ? usable_memory(options, *device) : available_memory();
  // A GPU's memory is there for pages; a machine's for other programs, too.
  const std::int64_t pool = device ? 0 : std::min(kDefaultPool, memory / 4);
  const PlanLimits limits{.memory = memory,
                          .kv_cache_memory = options.kv_cache_memory.value_or(pool),
                          .max_model_len = static_cast<std::int32_t>(model_len),
                          .max_num_seqs = options.scheduler.max_num_seqs,
                          .max_num_batched_tokens = options.scheduler.max_num_batched_tokens,
                          .block_size = options.block_size,
                          .kv_dtype = kv_dtype_of(options, config, backend),
                          .int8_weights = options.quantization == Quantization::kInt8};
  MemoryPlan plan = make_memory_plan(shape_of(options, config), limits);
  check_fit(options, plan);
  plan.num_blocks = std::min(plan.num_blocks, kMostBlocks);
  plan.max_model_len = std::min(plan.max_model_len, plan.longest_context);
  return plan;
}

void log_plan(const std::function<void(const std::string&)>& log, const ModelConfig& config,
              const MemoryPlan& plan, const Model& model, const Backend& backend) {
  if (!log) return;
  log(config.architecture + ": " + std::to_string(config.num_layers) + " layers, weights " +
      std::to_string(model.weight_bytes() / 1024) + " KiB, backend " + std::string(backend.name()));
  log("KV cache: " + std::to_string(plan.num_blocks) + " blocks of " +
      std::to_string(plan.kv.groups.front().block_size) + " tokens, " +
      std::to_string(plan.num_blocks * plan.kv.page_bytes() / kMiB) + " MiB, " +
      std::to_string(plan.kv.bytes_per_token()) + " bytes per token");
  if (plan.max_model_len < config.max_position_embeddings) {
    log("max_model_len is " + std::to_string(plan.max_model_len) + " (the model allows " +
        std::to_string(config.max_position_embeddings) + ")");
  }
}

// A name for "same answers": a hash of all that answers depend on beside the request.
std::string fingerprint(const EngineOptions& options, const ModelConfig& config,
                        const MemoryPlan& plan, const Backend& backend, const Model& model) {
  const std::string text =
      std::string(QUIRE_VERSION) + '|' + config.architecture + '|' +
      std::to_string(config.hidden_size) + '|' + std::to_string(config.num_layers) + '|' +
      std::to_string(model.weight_bytes()) + '|' +
      std::to_string(static_cast<int>(plan.kv.groups.front().dtype)) + '|' +
      std::string(backend.name()) + '|' + backend.page_layout(plan.kv.groups.front().dtype) + '|' +
      std::to_string(static_cast<int>(options.quantization)) + '|' +
      std::to_string(static_cast<int>(options.dtype.value_or(config.weight_dtype)));
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a, 64 bits
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string name = "fp_";
  for (int i = 0; i < 10; ++i, hash >>= 4) name += kHex[hash & 15];
  return name;
}

std::unique_ptr<Tokenizer> load_tokenizer(const EngineOptions& options) {
  auto result = Tokenizer::load(options.model_folder / "tokenizer.json");
  if (!result) throw StartupError(result.error().message);
  return std::move(result).value();
}

std::unique_ptr<StepExecutor> make_executor(const EngineOptions& options, const MemoryPlan& plan,
                                            Resources& resources, const HostPages* host) {
  const bool recompute = !options.use_kv_cache;
  const auto max_model_len = static_cast<std::int32_t>(plan.max_model_len);
  const RunnerOptions runner_options{
      .max_num_batched_tokens =
          recompute ? max_model_len : options.scheduler.max_num_batched_tokens,
      .max_num_seqs = options.scheduler.max_num_seqs,
      .max_model_len = max_model_len,
      .max_logprobs = options.max_logprobs,
      .host = host};
  auto runner = std::make_unique<ModelRunner>(runner_options, *resources.model, *resources.storage,
                                              *resources.backend);
  if (!recompute) return runner;
  resources.runner = std::move(runner);
  return std::make_unique<RecomputeExecutor>(*resources.runner, max_model_len);
}

// Whether pages may be found by another process.
bool pages_last(const EngineOptions& options) {
  return !options.tiers.disk_path.empty() || options.tiers.remote.has_value();
}

// All that pages depend on beside tokens and salts.
cache::PageKey page_context(const EngineOptions& options, const ModelConfig& config,
                            const MemoryPlan& plan, const Backend& backend,
                            const cache::PageKey& model) {
  std::string text = "kernels " QUIRE_KERNEL_DIGEST " on " + std::string(backend.name()) +
                     ", one device, weights " +
                     std::to_string(static_cast<int>(options.dtype.value_or(config.weight_dtype))) +
                     " " + std::to_string(static_cast<int>(options.quantization)) + ", invariant " +
                     std::to_string(options.batch_invariant);
  for (const cache::KvGroupSpec& group : plan.kv.groups) {
    text.append(", group ").append(backend.page_layout(group.dtype));
    for (const std::int64_t value :
         {static_cast<std::int64_t>(group.kind), std::int64_t{group.num_layers},
          std::int64_t{group.num_kv_heads}, std::int64_t{group.head_dim},
          std::int64_t{group.window}, std::int64_t{group.block_size}, group.layer_bytes()}) {
      text.append(" ").append(std::to_string(value));
    }
  }
  return extend_digest(model, text);
}

// Null where none is asked for.
std::unique_ptr<PageTiers> make_tiers(const EngineOptions& options, Resources& resources,
                                      const cache::PageKey& context,
                                      const std::function<void(const std::string&)>& log) {
  if (!options.use_kv_cache || !options.enable_prefix_caching) return nullptr;
  const KvStorage& storage = *resources.storage;
  const TieredPool pool{.backend = *resources.backend, .any_layer = storage.layer(0, 0)};
  return make_page_tiers(options.tiers, storage.spec(), context, pool, log);
}

void fill_sampling_defaults(ModelInfo& info, const std::filesystem::path& folder) {
  const GenerationDefaults defaults = read_generation_defaults(folder);
  info.temperature = defaults.temperature;
  info.top_p = defaults.top_p;
  info.top_k = defaults.top_k;
  info.min_p = defaults.min_p;
  info.repetition_penalty = defaults.repetition_penalty;
}

}  // namespace

std::unique_ptr<Engine> load_engine(const EngineOptions& given,
                                    const std::function<void(const std::string&)>& log) {
  EngineOptions options = given;
  const ModelConfig config = read_model_config(options.model_folder);
  // The tokenizer's file is parsed while the weights are packed.
  auto tokenizer = std::async(std::launch::async, load_tokenizer, std::cref(options));

  std::future<cache::PageKey> digest;
  if (pages_last(options)) {
    digest = std::async(std::launch::async, model_digest, options.model_folder,
                        weight_files(options.model_folder));
  }

  auto resources = std::make_shared<Resources>();
  resources->backend = make_backend(options, config, log);
  const MemoryPlan plan = make_plan(options, config, *resources->backend);
  const auto max_model_len = static_cast<std::int32_t>(plan.max_model_len);
  options.max_model_len = max_model_len;
  options.scheduler.max_model_len = max_model_len;
  options.scheduler.eos_token_ids = config.eos_token_ids;
  if (!options.use_kv_cache) options.scheduler.max_num_seqs = 1;
  options.scheduler.max_num_prefill_tokens = options.max_num_prefill_tokens.value_or(
      resources->backend->device_memory() ? 0 : kCpuPrefillTokens);

  resources->storage = std::make_unique<KvStorage>(*resources->backend, plan.kv, plan.num_blocks);
  if (!resources->backend->device_memory()) resources->storage->touch(options.kv_touch_first);
  resources->model = load_model(options.model_folder,
                                model_options(options, config, *resources->backend, max_model_len),
                                *resources->backend);
  log_plan(log, config, plan, *resources->model, *resources->backend);

  EngineParts parts;
  parts.tokenizer = tokenizer.get();
  parts.spec = plan.kv;
  parts.info = {
      .architecture = config.architecture,
      .vocab_size = config.vocab_size,
      .max_model_len = max_model_len,
      .num_blocks = plan.num_blocks,
      .block_size = options.block_size,
      .kv_bytes = plan.num_blocks * plan.kv.page_bytes(),
      .weight_bytes = resources->model->weight_bytes(),
      .backend = std::string(resources->backend->name()),
      .fingerprint = fingerprint(options, config, plan, *resources->backend, *resources->model)};
  fill_sampling_defaults(parts.info, options.model_folder);
  const cache::PageKey model = digest.valid() ? digest.get() : cache::PageKey{};
  const cache::PageKey context = page_context(options, config, plan, *resources->backend, model);
  parts.tiers = make_tiers(options, *resources, context, log);
  parts.executor = make_executor(options, plan, *resources,
                                 parts.tiers == nullptr ? nullptr : &parts.tiers->host);
  parts.keep_alive = std::move(resources);
  return std::make_unique<Engine>(options, std::move(parts));
}

}  // namespace quire::engine
