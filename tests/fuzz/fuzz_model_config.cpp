// Any bytes as config.json: refused in one line that names the file, or sizes within their ranges
// and a KV cache whose bytes do not overflow.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "engine/models/limits.h"
#include "engine/models/registry.h"
#include "engine/weights/json_file.h"
#include "proto/check.h"
#include "proto/error.h"

using namespace quire;
using namespace quire::engine;

namespace {

void check_config(const ModelConfig& config) {
  CHECK(config.vocab_size >= 1 && config.vocab_size <= kMaxVocabSize);
  CHECK(config.hidden_size >= 1 && config.hidden_size <= kMaxHiddenSize);
  CHECK(config.num_layers >= 1 && config.num_layers <= kMaxLayers);
  CHECK(config.num_heads >= 1 && config.num_heads <= kMaxHeads);
  CHECK(config.num_kv_heads >= 1 && config.num_heads % config.num_kv_heads == 0);
  CHECK(config.head_dim >= 1 && config.head_dim <= kMaxHeadDim);
  CHECK(config.intermediate_size >= 1);
  CHECK(config.max_position_embeddings >= 1);
  for (const TokenId id : config.eos_token_ids) CHECK(id >= 0 && id < config.vocab_size);
  const auto spec = kv_spec(config, 1024, DType::kFloat32);
  CHECK_GT(spec.bytes_per_token(), 0);
  CHECK_GT(spec.page_bytes(), 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = parse_json_object(text, "config.json");
  if (!parsed.ok()) {
    CHECK(parsed.error().param == "config.json");
    return 0;
  }
  try {
    check_config(parse_model_config(*parsed));
  } catch (const StartupError& error) {
    const std::string_view line = error.what();
    CHECK(line.starts_with("config.json: "));
    CHECK(line.size() < 400 && line.find('\n') == std::string_view::npos);
  }
  return 0;
}
