// LlamaForCausalLM: pre-norm transformer with grouped-query attention, rotary positions and a gated
// MLP (Touvron et al. 2023; Dubey et al. 2024).

#include <cmath>
#include <string>

#include "engine/models/decoder.h"
#include "engine/models/limits.h"
#include "engine/models/registry.h"
#include "engine/models/rope_config.h"

namespace quire::engine {
namespace {

// config.json, checked.
struct LlamaFields {
  ModelConfig common;
  RopeParameters rope;
  float epsilon = 0;
  bool attention_bias = false;
  bool mlp_bias = false;
  bool tied = false;
};

class Llama final : public Decoder<RmsNorm, GatedMlp> {
 public:
  Llama(const LlamaFields& fields, const LoadContext& context);

 private:
  using Layer = DecoderLayer<RmsNorm, GatedMlp>;
  [[nodiscard]] Layer load_layer(const LlamaFields& fields, int index, WeightLoader& loader) const;
};

Llama::Layer Llama::load_layer(const LlamaFields& fields, int index, WeightLoader& loader) const {
  const std::string name = "model.layers." + std::to_string(index) + ".";
  const std::int64_t hidden = config_.hidden_size;
  const std::int64_t inner = config_.intermediate_size;
  // Braced initialisers run in order: the file is read from front to back, as it was written.
  return {
      .attention_norm = loader.rms_norm(name + "input_layernorm", hidden, fields.epsilon),
      .attention = {.shape = shape_,
                    .scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim)),
                    .qkv = loader.linear({{name + "self_attn.q_proj", shape_.q_width()},
                                          {name + "self_attn.k_proj", shape_.kv_width()},
                                          {name + "self_attn.v_proj", shape_.kv_width()}},
                                         hidden, fields.attention_bias),
                    .output = loader.linear({{name + "self_attn.o_proj", hidden}}, shape_.q_width(),
                                            fields.attention_bias)},
      .mlp_norm = loader.rms_norm(name + "post_attention_layernorm", hidden, fields.epsilon),
      .mlp = {
          .gate_up = loader.linear({{name + "mlp.gate_proj", inner}, {name + "mlp.up_proj", inner}},
                                   hidden, fields.mlp_bias),
          .down = loader.linear({{name + "mlp.down_proj", hidden}}, inner, fields.mlp_bias)}};
}

Llama::Llama(const LlamaFields& fields, const LoadContext& context)
    : Decoder(fields.common, context.backend) {
  rotary_.emplace(fields.rope, config_.head_dim, context.max_positions, context.backend);
  WeightLoader loader(context.weights, context.dtype, context.product_dtype, context.backend);
  load_embedding(loader, "model.embed_tokens.weight", fields.tied);
  for (int i = 0; i < config_.num_layers; ++i) layers_.push_back(load_layer(fields, i, loader));
  final_norm_ = loader.rms_norm("model.norm", config_.hidden_size, fields.epsilon);
  load_head(loader, fields.tied);
}

// Features of relatives of this architecture: never ignored.
void refuse_relatives(const ConfigReader& config) {
  for (const char* key : {"attention_multiplier", "residual_multiplier", "embedding_multiplier",
                          "logits_scaling", "attn_logit_softcapping", "final_logit_softcapping",
                          "num_local_experts", "no_rope_layers"}) {
    if (config.has(key)) config.refuse(key, "is not supported by LlamaForCausalLM here");
  }
  if (config.number_or("partial_rotary_factor", 0.0, 1.0, 1.0f) != 1.0f) {
    config.refuse("partial_rotary_factor", "is not supported unless it is 1");
  }
  if (config.string_or("hidden_act", "silu") != "silu") {
    config.refuse("hidden_act", "is not supported unless it is silu");
  }
}

ModelConfig parse_sizes(const ConfigReader& config) {
  ModelConfig sizes;
  sizes.vocab_size = config.integer("vocab_size", 1, kMaxVocabSize);
  sizes.hidden_size = config.integer("hidden_size", 1, kMaxHiddenSize);
  sizes.intermediate_size = config.integer("intermediate_size", 1, kMaxIntermediateSize);
  sizes.num_layers = config.integer("num_hidden_layers", 1, kMaxLayers);
  sizes.num_heads = config.integer("num_attention_heads", 1, kMaxHeads);
  sizes.num_kv_heads = config.integer_or("num_key_value_heads", 1, kMaxHeads, sizes.num_heads);
  if (sizes.num_heads % sizes.num_kv_heads != 0) {
    config.refuse("num_key_value_heads", "must divide num_attention_heads");
  }
  if (!config.has("head_dim") && sizes.hidden_size % sizes.num_heads != 0) {
    config.refuse("num_attention_heads", "must divide hidden_size where there is no head_dim");
  }
  sizes.head_dim =
      config.integer_or("head_dim", 1, kMaxHeadDim, sizes.hidden_size / sizes.num_heads);
  if (sizes.head_dim % 2 != 0 || sizes.head_dim > kMaxHeadDim) {
    config.refuse("head_dim", "must be even and at most 1024");
  }
  sizes.max_position_embeddings =
      config.integer("max_position_embeddings", 1, kMaxPositionEmbeddings);
  sizes.rotary_dim = sizes.head_dim;
  config.agree("n_embd", sizes.hidden_size, "hidden_size");
  config.agree("n_inner", sizes.intermediate_size, "intermediate_size");
  config.agree("n_layer", sizes.num_layers, "num_hidden_layers");
  config.agree("n_head", sizes.num_heads, "num_attention_heads");
  config.agree("n_positions", sizes.max_position_embeddings, "max_position_embeddings");
  return sizes;
}

// What load_layer, load_embedding and load_head read.
void count_parameters(LlamaFields& fields) {
  ModelConfig& sizes = fields.common;
  const std::int64_t hidden = sizes.hidden_size;
  const std::int64_t inner = sizes.intermediate_size;
  const std::int64_t q = std::int64_t{sizes.num_heads} * sizes.head_dim;
  const std::int64_t kv = std::int64_t{sizes.num_kv_heads} * sizes.head_dim;
  std::int64_t layer = hidden * (2 * q + 2 * kv) + 3 * hidden * inner + 2 * hidden;
  if (fields.attention_bias) layer += q + 2 * kv + hidden;
  if (fields.mlp_bias) layer += 2 * inner + hidden;
  const std::int64_t embedding = sizes.vocab_size * hidden;
  sizes.table_parameters = fields.tied ? 0 : embedding;
  sizes.parameters = embedding + sizes.table_parameters + sizes.num_layers * layer + hidden;
}

LlamaFields parse_fields(const ConfigReader& config) {
  refuse_relatives(config);
  const ModelConfig sizes = parse_sizes(config);
  LlamaFields fields{.common = sizes,
                     .rope = parse_rope(config, sizes.max_position_embeddings),
                     .epsilon = config.number_or("rms_norm_eps", 0.0, 1.0, 1e-6f),
                     .attention_bias = config.boolean_or("attention_bias", false),
                     .mlp_bias = config.boolean_or("mlp_bias", false),
                     .tied = config.boolean_or("tie_word_embeddings", false)};
  count_parameters(fields);
  return fields;
}

}  // namespace

ModelConfig parse_llama(const ConfigReader& config) { return parse_fields(config).common; }

std::unique_ptr<Model> load_llama(const ConfigReader& config, const ModelConfig& common,
                                  const LoadContext& context) {
  LlamaFields fields = parse_fields(config);
  fields.common = common;
  return std::make_unique<Llama>(fields, context);
}

}  // namespace quire::engine
