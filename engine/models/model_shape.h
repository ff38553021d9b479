#pragma once
// ModelShape: a decoder's size: what a memory plan needs, and nothing else.
//
// A value. A model that this program runs has the shape that runs (model_shape() in model.h), and
// its config.json is checked as the daemon checks it. Of any other one read_model_shape() makes out
// what it can: fields of a family (experts, latent attention, windows) are read; what a config.json
// leaves out takes the value that transformers gives it.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cache/kv_spec.h"
#include "proto/types.h"

namespace quire::engine {

struct ModelShape {
  std::string architecture;
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int32_t num_layers = 0;
  std::int32_t num_heads = 0;
  std::int32_t num_kv_heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t max_positions = 0;
  std::int32_t rotary_dim = 0;  // 0: positions are learned
  DType dtype = DType::kFloat32;
  std::int64_t parameters = 0;
  std::int64_t table_parameters = 0;  // of those: only looked up, so never int8

  std::int32_t window = 0;         // tokens; 0: every layer attends to everything
  std::int32_t window_layers = 0;  // how many of the layers have the window
  std::int32_t latent_dim = 0;     // kv_lora_rank + qk_rope_head_dim; 0: keys and values per head

  // The layers' groups as they are.
  [[nodiscard]] cache::KvCacheSpec kv_spec(std::int32_t block_size, DType kv_dtype) const;
};

// How the heads of a model could share their keys and values.
enum class HeadSharing : std::uint8_t { kMha, kGqa, kMqa, kMla };

// Bytes that one token's keys and values would take in the same model under another sharing, every
// layer attending to everything. kGqa: its own KV heads where they are fewer than its heads, else 8
// or fewer (Ainslie et al. 2023); kMla: its own latent, else DeepSeek-V2's 512 + 64.
[[nodiscard]] std::int64_t bytes_per_token(const ModelShape& shape, HeadSharing sharing,
                                           DType kv_dtype);

// Parameters of GPT-2: learned positions, biases everywhere, norms with a shift, the head tied.
[[nodiscard]] std::int64_t gpt2_parameters(const ModelShape& shape);

// For a plan alone; of a model that runs it is model_shape(parse_model_config()), of the dtype that
// config.json names. Throws StartupError of one line naming `file` and the field.
[[nodiscard]] ModelShape read_model_shape(const nlohmann::json& config, const std::string& file);

}  // namespace quire::engine
