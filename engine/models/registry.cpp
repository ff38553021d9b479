#include "engine/models/registry.h"

#include <algorithm>
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

const Architecture* architecture_of(std::string_view name) {
  const auto found = std::find_if(kArchitectures.begin(), kArchitectures.end(),
                                  [&](const Architecture& known) { return known.name == name; });
  return found == kArchitectures.end() ? nullptr : &*found;
}

const Architecture& find_architecture(const ConfigReader& config) {
  const std::string name = config.single_string("architectures");
  if (const Architecture* found = architecture_of(name)) return *found;
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  config.refuse("architectures", printable_name(name) + " is not supported (only " + known + ")");
}

// Features that no model here has: refused, whatever the architecture.
void refuse_unsupported(const ConfigReader& config) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (config.has(key)) config.refuse(key, "quantized weights are not supported");
  }
  for (const char* key : {"sliding_window", "kv_lora_rank", "text_config"}) {
    if (config.has(key)) {
      config.refuse(key, "is not supported by " + config.single_string("architectures") + " here");
    }
  }
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

bool is_known(const nlohmann::json& config) {
  const auto names = config.find("architectures");
  return names != config.end() && names->is_array() && names->size() == 1 &&
         names->front().is_string() &&
         architecture_of(names->front().get<std::string>()) != nullptr;
}

ModelConfig parse_model_config(const nlohmann::json& config, const std::string& file) {
  const ConfigReader reader(config, file);
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
                            : ConfigReader(config, kConfigFile).weight_dtype();
  return common;
}

std::vector<std::string> weight_files(const std::filesystem::path& folder) {
  const TruncationGuard guard;
  return WeightMap::open(folder).file_names();
}

ModelShape model_shape(const ModelConfig& config) {
  ModelShape shape;
  shape.architecture = config.architecture;
  shape.vocab_size = config.vocab_size;
  shape.hidden_size = config.hidden_size;
  shape.intermediate_size = config.intermediate_size;
  shape.num_layers = config.num_layers;
  shape.num_heads = config.num_heads;
  shape.num_kv_heads = config.num_kv_heads;
  shape.head_dim = config.head_dim;
  shape.rotary_dim = config.rotary_dim;
  shape.max_positions = config.max_position_embeddings;
  shape.dtype = config.weight_dtype;
  shape.parameters = config.parameters;
  shape.table_parameters = config.table_parameters;
  return shape;
}

cache::KvCacheSpec kv_spec(const ModelConfig& config, std::int32_t block_size, DType kv_dtype) {
  return model_shape(config).kv_spec(block_size, kv_dtype);
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
