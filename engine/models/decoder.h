#pragma once
// Decoder: what the pre-norm transformers have in common: a stack of (norm, attention, norm, MLP)
// around a residual stream, a final norm, and a head that may be the embedding.
//
// The kinds of norm and MLP are the parameters; positions are either rotary (a table for
// attention) or learned (rows added to the stream). A model derives from it, fills the parts in its
// constructor, in the order of its file, and adds nothing to forward(); one that differs writes its
// own.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/layers/activations.h"
#include "engine/layers/mlp.h"
#include "engine/layers/norm.h"
#include "engine/layers/rope.h"
#include "engine/layers/sampled_rows.h"
#include "engine/layers/self_attention.h"
#include "engine/layers/weight_loader.h"
#include "engine/models/model.h"

namespace quire::engine {

template <typename Norm, typename Mlp>
struct DecoderLayer {
  Norm attention_norm;
  SelfAttention attention;
  Norm mlp_norm;
  Mlp mlp;
};

template <typename Norm, typename Mlp>
class Decoder : public Model {
 public:
  [[nodiscard]] const ModelConfig& config() const final { return config_; }
  [[nodiscard]] std::int64_t weight_bytes() const final { return weight_bytes_; }

  void reserve(std::int64_t max_tokens, std::int64_t max_samples) final {
    scratch_.reserve(*backend_, max_tokens, max_samples,
                     {.hidden = config_.hidden_size,
                      .qkv = shape_.qkv_width(),
                      .heads = shape_.q_width(),
                      .wide = Mlp::kWidth * std::int64_t{config_.intermediate_size},
                      .inner = Mlp::kWidth > 1 ? config_.intermediate_size : 0});
  }

  [[nodiscard]] TensorView forward(const BatchInput& batch, const KvStorage& kv) final {
    const std::int64_t tokens = batch.num_tokens();
    const TensorView residual = scratch_.residual.view(tokens);
    const TensorView normed = scratch_.normed.view(tokens);
    const TensorView block_out = scratch_.delta.view(tokens);
    TensorView delta;  // what the next norm adds to the stream: nothing at first
    backend_->embed(*embedding_, batch.token_ids, residual);
    if (positions_) {
      backend_->embed(*positions_, batch.positions, block_out);
      delta = block_out;
    }
    const RopeTable rope = rotary_ ? rotary_->table() : RopeTable{};
    for (std::int32_t i = 0; i < config_.num_layers; ++i) {
      const auto& layer = layers_[static_cast<std::size_t>(i)];
      layer.attention_norm.apply(*backend_, residual, delta, normed);
      layer.attention.apply(*backend_, normed, rope, kv.layer(0, i), batch, scratch_, block_out);
      delta = block_out;
      if (batch.heartbeat != nullptr) batch.heartbeat->beat();
      layer.mlp_norm.apply(*backend_, residual, delta, normed);
      layer.mlp.apply(*backend_, normed, scratch_, block_out);
      if (batch.heartbeat != nullptr) batch.heartbeat->beat();
    }
    return sampled_rows(*backend_, final_norm_, scratch_, batch);
  }

  void logits(TensorView hidden, TensorView out) final {
    backend_->linear(hidden, head_ ? *head_ : *embedding_, nullptr, out);
  }

 protected:
  Decoder(const ModelConfig& config, Backend& backend)
      : config_(config),
        backend_(&backend),
        shape_{config.num_heads, config.num_kv_heads, config.head_dim} {}

  void load_embedding(WeightLoader& loader, const std::string& name, bool tied) {
    embedding_ = tied ? loader.head(name, config_.vocab_size, config_.hidden_size)
                      : loader.table(name, config_.vocab_size, config_.hidden_size);
  }
  // After the embedding and the layers; nothing to read where it is tied.
  void load_head(WeightLoader& loader, bool tied) {
    if (!tied) head_ = loader.head("lm_head.weight", config_.vocab_size, config_.hidden_size);
    weight_bytes_ = loader.bytes();
  }

  ModelConfig config_;
  Backend* backend_;
  AttentionShape shape_;
  std::unique_ptr<Weight> embedding_;
  std::unique_ptr<Weight> positions_;  // learned; null where they are rotary
  std::optional<RotaryEmbedding> rotary_;
  std::vector<DecoderLayer<Norm, Mlp>> layers_;
  Norm final_norm_;
  std::unique_ptr<Weight> head_;  // null: tied to the embedding
  std::int64_t weight_bytes_ = 0;
  Activations scratch_;
};

}  // namespace quire::engine
