// GPT2LMHeadModel: pre-norm transformer with learned positions, layer norms and a GELU MLP (Radford
// et al. 2019). Its matrices are stored transposed.

#include <cmath>
#include <string>

#include "engine/models/decoder.h"
#include "engine/models/limits.h"
#include "engine/models/registry.h"

namespace quire::engine {
namespace {

// config.json, checked.
struct Gpt2Fields {
  ModelConfig common;
  float epsilon = 0;
  bool scaled = true;            // by 1 / sqrt(head_dim)
  bool scaled_by_layer = false;  // and by 1 / (layer + 1)
  bool tied = true;

  // Of the dot products of a layer.
  [[nodiscard]] float scale(int layer) const {
    const float whole = scaled ? 1.0f / std::sqrt(static_cast<float>(common.head_dim)) : 1.0f;
    return scaled_by_layer ? whole / static_cast<float>(layer + 1) : whole;
  }
};

class Gpt2 final : public Decoder<LayerNorm, GeluMlp> {
 public:
  Gpt2(const Gpt2Fields& fields, const LoadContext& context);

 private:
  using Layer = DecoderLayer<LayerNorm, GeluMlp>;
  [[nodiscard]] Layer load_layer(const Gpt2Fields& fields, const std::string& name, int index,
                                 WeightLoader& loader) const;
};

Gpt2::Layer Gpt2::load_layer(const Gpt2Fields& fields, const std::string& name, int index,
                             WeightLoader& loader) const {
  const std::int64_t hidden = config_.hidden_size;
  const std::int64_t inner = config_.intermediate_size;
  return {.attention_norm = loader.layer_norm(name + "ln_1", hidden, fields.epsilon),
          .attention = {.shape = shape_,
                        .scale = fields.scale(index),
                        .qkv = loader.conv1d(name + "attn.c_attn", 3 * hidden, hidden),
                        .output = loader.conv1d(name + "attn.c_proj", hidden, hidden)},
          .mlp_norm = loader.layer_norm(name + "ln_2", hidden, fields.epsilon),
          .mlp = {.up = loader.conv1d(name + "mlp.c_fc", inner, hidden),
                  .down = loader.conv1d(name + "mlp.c_proj", hidden, inner)}};
}

Gpt2::Gpt2(const Gpt2Fields& fields, const LoadContext& context)
    : Decoder(fields.common, context.backend) {
  // The published files were saved from the bare transformer, later ones from the whole model.
  const std::string prefix = context.weights.contains("wte.weight") ? "" : "transformer.";
  WeightLoader loader(context.weights, context.dtype, context.product_dtype, context.backend);
  load_embedding(loader, prefix + "wte.weight", fields.tied);
  positions_ =
      loader.table(prefix + "wpe.weight", config_.max_position_embeddings, config_.hidden_size);
  for (int i = 0; i < config_.num_layers; ++i) {
    layers_.push_back(load_layer(fields, prefix + "h." + std::to_string(i) + ".", i, loader));
  }
  final_norm_ = loader.layer_norm(prefix + "ln_f", config_.hidden_size, fields.epsilon);
  load_head(loader, fields.tied);
}

ModelConfig parse_sizes(const ConfigReader& config) {
  ModelConfig sizes;
  sizes.vocab_size = config.integer("vocab_size", 1, kMaxVocabSize);
  sizes.hidden_size = config.integer("n_embd", 1, kMaxHiddenSize);
  sizes.num_layers = config.integer("n_layer", 1, kMaxLayers);
  sizes.num_heads = config.integer("n_head", 1, kMaxHeads);
  sizes.num_kv_heads = sizes.num_heads;
  sizes.head_dim = sizes.hidden_size / sizes.num_heads;
  if (sizes.hidden_size % sizes.num_heads != 0 || sizes.head_dim > kMaxHeadDim) {
    config.refuse("n_head", "must divide n_embd into heads of at most 1024");
  }
  sizes.intermediate_size =
      config.integer_or("n_inner", 1, kMaxIntermediateSize, 4 * sizes.hidden_size);
  sizes.max_position_embeddings = config.integer("n_positions", 1, kMaxPositionEmbeddings);
  config.agree("hidden_size", sizes.hidden_size, "n_embd");
  config.agree("intermediate_size", sizes.intermediate_size, "n_inner");
  config.agree("num_hidden_layers", sizes.num_layers, "n_layer");
  config.agree("num_attention_heads", sizes.num_heads, "n_head");
  config.agree("num_key_value_heads", sizes.num_heads, "n_head");
  config.agree("head_dim", sizes.head_dim, "n_embd / n_head");
  config.agree("max_position_embeddings", sizes.max_position_embeddings, "n_positions");
  return sizes;
}

// The published count, the head tied; untied, the embedding is a table as the positions are.
void count_parameters(Gpt2Fields& fields) {
  ModelConfig& sizes = fields.common;
  const std::int64_t hidden = sizes.hidden_size;
  const std::int64_t embedding = fields.tied ? 0 : sizes.vocab_size * hidden;
  sizes.table_parameters = sizes.max_position_embeddings * hidden + embedding;
  sizes.parameters = gpt2_parameters(model_shape(sizes)) + embedding;
}

Gpt2Fields parse_fields(const ConfigReader& config) {
  const std::string activation = config.string_or("activation_function", "gelu_new");
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh") {
    config.refuse("activation_function", "is not supported unless it is gelu_new");
  }
  if (config.boolean_or("add_cross_attention", false)) {
    config.refuse("add_cross_attention", "is not supported");
  }
  Gpt2Fields fields{.common = parse_sizes(config),
                    .epsilon = config.number_or("layer_norm_epsilon", 0.0, 1.0, 1e-5f),
                    .scaled = config.boolean_or("scale_attn_weights", true),
                    .scaled_by_layer = config.boolean_or("scale_attn_by_inverse_layer_idx", false),
                    .tied = config.boolean_or("tie_word_embeddings", true)};
  count_parameters(fields);
  return fields;
}

}  // namespace

ModelConfig parse_gpt2(const ConfigReader& config) { return parse_fields(config).common; }

std::unique_ptr<Model> load_gpt2(const ConfigReader& config, const ModelConfig& common,
                                 const LoadContext& context) {
  Gpt2Fields fields = parse_fields(config);
  fields.common = common;
  return std::make_unique<Gpt2>(fields, context);
}

}  // namespace quire::engine
