#pragma once
// Model: a transformer as a composition of backend ops, and the registry of architectures.
//
// Loaded once; used by the engine thread only. The backend outlives the model.
// Adding a model: one file with parse, load, forward, and one line in registry.cpp.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/kv_spec.h"
#include "engine/backend/backend.h"
#include "engine/batch_input.h"
#include "engine/kv_storage.h"
#include "engine/models/model_shape.h"
#include "proto/types.h"

namespace quire::engine {

// What the rest of the program needs to know of a model; from config.json.
struct ModelConfig {
  std::string architecture;  // "LlamaForCausalLM"
  std::int32_t vocab_size = 0;
  std::int32_t hidden_size = 0;
  std::int32_t num_layers = 0;
  std::int32_t num_heads = 0;
  std::int32_t num_kv_heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t intermediate_size = 0;
  std::int32_t max_position_embeddings = 0;
  std::int32_t rotary_dim = 0;           // 0: positions are learned
  std::int64_t parameters = 0;           // of all tensors that load_model reads
  std::int64_t table_parameters = 0;     // of those that are only looked up: never int8
  DType weight_dtype = DType::kFloat32;  // as stored in the file
  std::vector<TokenId> eos_token_ids;    // generation_config.json over config.json
};

class Model {
 public:
  virtual ~Model() = default;
  [[nodiscard]] virtual const ModelConfig& config() const = 0;
  // Bytes of packed weights held.
  [[nodiscard]] virtual std::int64_t weight_bytes() const = 0;
  // Allocates activations; called once. max_samples: hidden states per forward().
  virtual void reserve(std::int64_t max_tokens, std::int64_t max_samples) = 0;
  // Computes the step: writes K and V of every token, and returns the final-norm hidden states of
  // batch.sample_tokens, [S, hidden_size], valid until the next call.
  [[nodiscard]] virtual TensorView forward(const BatchInput& batch, const KvStorage& kv) = 0;
  // hidden [S, hidden_size] -> out [S, vocab_size], raw float32 logits.
  virtual void logits(TensorView hidden, TensorView out) = 0;
};

struct ModelOptions {
  // kFloat32 .. kBFloat16 to convert the weights at load; unset keeps the file's own.
  bool convert_dtype = false;
  DType dtype = DType::kFloat32;
  // The same, of the matrices of products alone; kInt8, too.
  std::optional<DType> product_dtype = std::nullopt;
  std::int32_t max_model_len = 0;  // positions to prepare (rope tables)
};

// Reads config.json (and generation_config.json if there) and checks it. Throws StartupError with
// one line naming the file and the field.
[[nodiscard]] ModelConfig read_model_config(const std::filesystem::path& folder);
// The names of the folder's files that load_model reads tensors from; throws as above.
[[nodiscard]] std::vector<std::string> weight_files(const std::filesystem::path& folder);
// What a memory plan needs of a model; needs no weights.
[[nodiscard]] ModelShape model_shape(const ModelConfig& config);
// The KV cache's shape: what model_shape(config) gives, which is all that is ever served.
[[nodiscard]] cache::KvCacheSpec kv_spec(const ModelConfig& config, std::int32_t block_size,
                                         DType kv_dtype);
// Loads the weights of a folder; throws StartupError as above (unknown architecture, missing or
// misshapen tensor, truncated file).
[[nodiscard]] std::unique_ptr<Model> load_model(const std::filesystem::path& folder,
                                                const ModelOptions& options, Backend& backend);

}  // namespace quire::engine
