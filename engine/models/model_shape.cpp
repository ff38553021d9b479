#include "engine/models/model_shape.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/models/config_reader.h"
#include "engine/models/limits.h"
#include "engine/models/registry.h"
#include "proto/error.h"

namespace quire::engine {
namespace {

// DeepSeek-V2's latent, for models that have none.
constexpr std::int64_t kUsualLatent = 512 + 64;
constexpr std::int32_t kUsualGroups = 8;

// A field under the name of its family: GPT-2's n_embd is Llama's hidden_size.
struct Field {
  const char* name;
  const char* gpt2_name;
};

std::int64_t integer_or(const ConfigReader& config, const char* name, std::int64_t max,
                        std::int64_t fallback) {
  return config.has(name) ? config.integer(name, 0, max) : fallback;
}

// Parameters of one layer's attention, norms of the latents included.
std::int64_t attention_parameters(const ConfigReader& config, const ModelShape& shape) {
  const std::int64_t hidden = shape.hidden_size;
  if (shape.latent_dim > 0) {
    const std::int64_t rank = config.integer("kv_lora_rank", 1, kMaxHiddenSize);
    const std::int64_t nope = integer_or(config, "qk_nope_head_dim", kMaxHeadDim, 128);
    const std::int64_t rope = shape.latent_dim - rank;
    const std::int64_t value = integer_or(config, "v_head_dim", kMaxHeadDim, 128);
    const std::int64_t query_rank = integer_or(config, "q_lora_rank", kMaxHiddenSize, 0);
    const std::int64_t query_width = shape.num_heads * (nope + rope);
    const std::int64_t query = query_rank > 0
                                   ? hidden * query_rank + query_rank + query_rank * query_width
                                   : hidden * query_width;
    return query + hidden * shape.latent_dim + rank + rank * shape.num_heads * (nope + value) +
           shape.num_heads * value * hidden;
  }
  const std::int64_t q = std::int64_t{shape.num_heads} * shape.head_dim;
  const std::int64_t kv = std::int64_t{shape.num_kv_heads} * shape.head_dim;
  std::int64_t biases = 0;
  const bool qwen2 = shape.architecture.starts_with("Qwen2");  // biases without a field for them
  if (config.boolean_or("attention_bias", qwen2)) biases = q + 2 * kv + (qwen2 ? 0 : hidden);
  return hidden * (q + 2 * kv) + q * hidden + biases;
}

// Parameters of all layers' feed-forward parts: gated, dense or of experts.
std::int64_t feed_forward_parameters(const ConfigReader& config, const ModelShape& shape) {
  const std::int64_t hidden = shape.hidden_size;
  const std::int64_t dense = 3 * hidden * shape.intermediate_size;
  const char* key = config.has("n_routed_experts") ? "n_routed_experts" : "num_local_experts";
  const std::int64_t experts = integer_or(config, key, kMaxExperts, 0);
  if (experts == 0) return shape.num_layers * dense;
  const std::int64_t shared = integer_or(config, "n_shared_experts", kMaxExperts, 0);
  const std::int64_t width =
      integer_or(config, "moe_intermediate_size", kMaxIntermediateSize, shape.intermediate_size);
  const std::int64_t first_dense = std::min<std::int64_t>(
      integer_or(config, "first_k_dense_replace", kMaxLayers, 0), shape.num_layers);
  if (experts * width > kMaxExpertWidth || shared * width > kMaxExpertWidth) {
    config.refuse(key, "is too many experts for their width");
  }
  const std::int64_t router = hidden * experts;
  const std::int64_t sparse = 3 * hidden * width * (experts + shared) + router;
  return first_dense * dense + (shape.num_layers - first_dense) * sparse;
}

std::int64_t decoder_parameters(const ConfigReader& config, const ModelShape& shape) {
  const std::int64_t embedding = shape.vocab_size * shape.hidden_size;
  const std::int64_t heads = config.boolean_or("tie_word_embeddings", false) ? 1 : 2;
  const std::int64_t norms = (2 * std::int64_t{shape.num_layers} + 1) * shape.hidden_size;
  return heads * embedding + norms + shape.num_layers * attention_parameters(config, shape) +
         feed_forward_parameters(config, shape);
}

// The layers with a window: those that layer_types names, else all from max_window_layers on.
void read_windows(const nlohmann::json& json, const ConfigReader& config, ModelShape& shape) {
  const std::int64_t window = integer_or(config, "sliding_window", kMaxPositionEmbeddings, 0);
  if (window == 0 || !config.boolean_or("use_sliding_window", true)) return;
  std::int64_t layers = shape.num_layers;
  if (const auto types = json.find("layer_types"); types != json.end() && types->is_array()) {
    layers = std::count(types->begin(), types->end(), "sliding_attention");
  } else {
    layers -= integer_or(config, "max_window_layers", kMaxLayers, 0);
  }
  shape.window = static_cast<std::int32_t>(window);
  shape.window_layers =
      static_cast<std::int32_t>(std::clamp<std::int64_t>(layers, 0, shape.num_layers));
}

cache::KvGroupSpec group(const ModelShape& shape, std::int32_t layers, std::int32_t block_size,
                         DType dtype) {
  const bool latent = shape.latent_dim > 0;
  return {.kind = latent ? cache::AttentionKind::kLatent : cache::AttentionKind::kFull,
          .num_layers = layers,
          .num_kv_heads = latent ? 1 : shape.num_kv_heads,
          .head_dim = latent ? shape.latent_dim : shape.head_dim,
          .window = 0,
          .block_size = block_size,
          .dtype = dtype};
}

// A field inside its range, under the name of its family.
std::int32_t size(const ConfigReader& config, Field field, std::int64_t max) {
  const bool gpt2 = field.gpt2_name != nullptr && config.has(field.gpt2_name);
  return config.integer(gpt2 ? field.gpt2_name : field.name, 1, max);
}

void read_sizes(const ConfigReader& config, ModelShape& shape) {
  shape.vocab_size = config.integer("vocab_size", 1, kMaxVocabSize);
  shape.hidden_size = size(config, {"hidden_size", "n_embd"}, kMaxHiddenSize);
  shape.num_layers = size(config, {"num_hidden_layers", "n_layer"}, kMaxLayers);
  shape.num_heads = size(config, {"num_attention_heads", "n_head"}, kMaxHeads);
  shape.max_positions =
      size(config, {"max_position_embeddings", "n_positions"}, kMaxPositionEmbeddings);
  shape.num_kv_heads =
      config.integer_or("num_key_value_heads", 1, shape.num_heads, shape.num_heads);
  shape.intermediate_size =
      config.has("n_embd") ? config.integer_or("n_inner", 1, kMaxIntermediateSize,
                                               static_cast<std::int32_t>(4 * shape.hidden_size))
                           : config.integer("intermediate_size", 1, kMaxIntermediateSize);
}

// The width of a head, and the latent that all heads share where there is one.
void read_heads(const ConfigReader& config, ModelShape& shape) {
  if (config.has("kv_lora_rank")) {
    shape.head_dim = config.integer_or("v_head_dim", 1, kMaxHeadDim, 128);
    shape.rotary_dim = config.integer_or("qk_rope_head_dim", 0, kMaxHeadDim, 64);
    shape.latent_dim = config.integer("kv_lora_rank", 1, kMaxHiddenSize) + shape.rotary_dim;
    return;
  }
  const std::int64_t split = shape.hidden_size / shape.num_heads;
  shape.head_dim = config.integer_or("head_dim", 1, kMaxHeadDim, static_cast<std::int32_t>(split));
  if (shape.head_dim < 1 || shape.head_dim > kMaxHeadDim) {
    config.refuse("head_dim",
                  "is missing, and the heads' even share of the width is " + std::to_string(split));
  }
  if (!config.has("n_embd")) shape.rotary_dim = shape.head_dim;
}

ModelShape read_other_shape(const nlohmann::json& json, const std::string& file) {
  const ConfigReader config(json, file);
  ModelShape shape;
  shape.architecture = config.single_string("architectures");
  read_sizes(config, shape);
  read_heads(config, shape);
  shape.dtype = config.weight_dtype();
  read_windows(json, config, shape);
  const std::int64_t embedding = shape.vocab_size * shape.hidden_size;
  if (config.has("n_embd")) {
    shape.parameters = gpt2_parameters(shape);
    shape.table_parameters = shape.max_positions * shape.hidden_size;
  } else {
    shape.parameters = decoder_parameters(config, shape);
    shape.table_parameters = config.boolean_or("tie_word_embeddings", false) ? 0 : embedding;
  }
  return shape;
}

}  // namespace

cache::KvCacheSpec ModelShape::kv_spec(std::int32_t block_size, DType kv_dtype) const {
  cache::KvCacheSpec spec;
  if (window_layers < num_layers) {
    spec.groups.push_back(group(*this, num_layers - window_layers, block_size, kv_dtype));
  }
  if (window_layers > 0) {
    cache::KvGroupSpec windowed = group(*this, window_layers, block_size, kv_dtype);
    windowed.kind = cache::AttentionKind::kSlidingWindow;
    windowed.window = window;
    spec.groups.push_back(windowed);
  }
  return spec.with_equal_pages();
}

std::int64_t bytes_per_token(const ModelShape& shape, HeadSharing sharing, DType kv_dtype) {
  const std::int64_t one_head =
      2 * std::int64_t{shape.num_layers} * cache::kv_head_bytes(shape.head_dim, kv_dtype);
  switch (sharing) {
    case HeadSharing::kMha:
      return shape.num_heads * one_head;
    case HeadSharing::kGqa: {
      const bool own = shape.latent_dim == 0 && shape.num_kv_heads < shape.num_heads;
      return (own ? shape.num_kv_heads : std::min(kUsualGroups, shape.num_heads)) * one_head;
    }
    case HeadSharing::kMqa:
      return one_head;
    case HeadSharing::kMla:
      return shape.num_layers *
             cache::kv_head_bytes(shape.latent_dim > 0 ? shape.latent_dim : kUsualLatent, kv_dtype);
  }
  return 0;
}

std::int64_t gpt2_parameters(const ModelShape& shape) {
  const std::int64_t hidden = shape.hidden_size;
  const std::int64_t wide = shape.intermediate_size;
  const std::int64_t layer =
      4 * hidden * hidden + 4 * hidden + 2 * hidden * wide + wide + hidden + 4 * hidden;
  return (shape.vocab_size + shape.max_positions) * hidden + shape.num_layers * layer + 2 * hidden;
}

ModelShape read_model_shape(const nlohmann::json& json, const std::string& file) {
  if (!json.is_object()) throw StartupError(file + ": must be an object");
  if (is_known(json)) {
    ModelConfig config = parse_model_config(json, file);
    config.weight_dtype = ConfigReader(json, file).weight_dtype();
    return model_shape(config);
  }
  // Models that also see or hear keep their decoder's fields in a part of their own.
  const auto text = json.find("text_config");
  if (text == json.end() || !text->is_object()) return read_other_shape(json, file);
  nlohmann::json inner = *text;
  if (json.contains("architectures")) inner["architectures"] = json["architectures"];
  return read_other_shape(inner, file);
}

}  // namespace quire::engine
