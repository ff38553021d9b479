#include "engine/models/registry.h"

#include <array>
#include <nlohmann/json.hpp>

#include "engine/models/generation_config.h"
#include "engine/weights/json_file.h"
#include "engine/weights/truncation_guard.h"

namespace quire::engine {
namespace {

constexpr const char* kConfigFile = "config.json";

constexpr std::array<Architecture, 2> kArchitectures{{
    {"LlamaForCausalLM", parse_llama, load_llama},
    {"GPT2LMHeadModel", parse_gpt2, load_gpt2},
}};

nlohmann::json read_config_file(const std::filesystem::path& folder) {
  auto value = read_json_file(folder / kConfigFile);
  if (!value.ok()) throw StartupError(value.error().param + ": " + value.error().message);
  return std::move(*value);
}

const Architecture& find_architecture(const ConfigReader& config) {
  const std::string name = config.single_string("architectures");
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) return architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  config.refuse("architectures", printable_name(name) + " is not supported (only " + known + ")");
}

// Features that no model here has: refused, whatever the architecture.
void refuse_unsupported(const ConfigReader& config) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (config.has(key)) config.refuse(key, "quantized weights are not supported");
  }
}

// The dtype that config.json names, for folders without weights.
DType configured_dtype(const ConfigReader& config) {
  const char* key = config.has("dtype") ? "dtype" : "torch_dtype";
  const std::string name = config.string_or(key, "float32");
  if (name == "float32") return DType::kFloat32;
  if (name == "float16") return DType::kFloat16;
  if (name == "bfloat16") return DType::kBFloat16;
  config.refuse(key, "must be float32, float16 or bfloat16");
}

void check_positions(const ConfigReader& config, const ModelConfig& common, std::int32_t wanted) {
  // Both spellings exist; name the one that the file has.
  const char* key = config.has("n_positions") ? "n_positions" : "max_position_embeddings";
  if (wanted > common.max_position_embeddings) {
    config.refuse(key, "is below the maximum model length of " + std::to_string(wanted));
  }
}

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

ModelConfig parse_model_config(const nlohmann::json& config) {
  const ConfigReader reader(config, kConfigFile);
  const Architecture& architecture = find_architecture(reader);
  refuse_unsupported(reader);
  ModelConfig common = architecture.parse(reader);
  common.architecture = architecture.name;
  common.eos_token_ids =
      reader.token_ids("eos_token_id", common.vocab_size).value_or(std::vector<TokenId>());
  return common;
}

ModelConfig read_model_config(const std::filesystem::path& folder) {
  const TruncationGuard guard;
  const nlohmann::json config = read_config_file(folder);
  ModelConfig common = parse_model_config(config);
  if (auto ids = read_generation_eos(folder, common.vocab_size)) {
    common.eos_token_ids = std::move(*ids);
  }
  common.weight_dtype = WeightMap::present(folder)
                            ? WeightMap::open(folder).main_dtype()
                            : configured_dtype(ConfigReader(config, kConfigFile));
  return common;
}

cache::KvCacheSpec kv_spec(const ModelConfig& config, std::int32_t block_size, DType kv_dtype) {
  return {.groups = {{.kind = cache::AttentionKind::kFull,
                      .num_layers = config.num_layers,
                      .num_kv_heads = config.num_kv_heads,
                      .head_dim = config.head_dim,
                      .window = 0,
                      .block_size = block_size,
                      .dtype = kv_dtype}}};
}

std::unique_ptr<Model> load_model(const std::filesystem::path& folder, const ModelOptions& options,
                                  Backend& backend) {
  const ModelConfig common = read_model_config(folder);
  const nlohmann::json config = read_config_file(folder);
  const ConfigReader reader(config, kConfigFile);
  check_positions(reader, common, options.max_model_len);
  if (!backend.supports_head_dim(common.head_dim)) {
    reader.refuse(reader.has("head_dim") ? "head_dim" : "num_attention_heads",
                  "gives heads of " + std::to_string(common.head_dim) + ", which the " +
                      std::string(backend.name()) + " backend does not take");
  }

  const TruncationGuard guard;
  const WeightMap weights = WeightMap::open(folder);
  const LoadContext context{
      .weights = weights,
      .backend = backend,
      .dtype = options.convert_dtype ? std::optional(options.dtype) : std::nullopt,
      .product_dtype = options.product_dtype,
      .max_positions =
          options.max_model_len > 0 ? options.max_model_len : common.max_position_embeddings};
  return find_architecture(reader).load(reader, common, context);
}

}  // namespace quire::engine
