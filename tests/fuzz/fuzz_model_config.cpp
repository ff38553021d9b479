// Any bytes as config.json: refused in one line that names the file, or sizes within their ranges,
// a memory plan whose figures do not overflow, and pages laid out for the model that runs. A plan
// of a model that does not run must not overflow either.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "engine/memory_plan.h"
#include "engine/models/limits.h"
#include "engine/models/registry.h"
#include "engine/weights/json_file.h"
#include "proto/check.h"
#include "proto/error.h"

using namespace quire;
using namespace quire::engine;

namespace {

constexpr PlanLimits kLimits{
    .memory = INT64_MAX, .block_size = 1024, .kv_dtype = DType::kFloat32, .int8_weights = true};

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
  const auto spec = make_memory_plan(model_shape(config), kLimits).kv;
  CHECK(spec.groups.size() == 1 && spec.groups.front().kind == cache::AttentionKind::kFull);
  CHECK(spec.groups.front().num_layers == config.num_layers);
  CHECK(spec.groups.front().num_kv_heads == config.num_kv_heads);
  CHECK(spec.groups.front().head_dim == config.head_dim);
}

void check_plan(const ModelShape& shape) {
  const MemoryPlan plan = make_memory_plan(shape, kLimits);
  CHECK(plan.weight_bytes > 0 && plan.workspace_bytes > 0);
  CHECK(plan.bytes_per_token > 0 && plan.page_bytes > 0);
  CHECK_GE(plan.sequence_bytes, plan.page_bytes);
}

template <typename Call>
void refused_in_one_line(const Call& call) {
  try {
    call();
  } catch (const StartupError& error) {
    const std::string_view line = error.what();
    CHECK(line.starts_with("config.json: "));
    CHECK(line.size() < 400 && line.find('\n') == std::string_view::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = parse_json_object(text, "config.json");
  if (!parsed.ok()) {
    CHECK(parsed.error().param == "config.json");
    return 0;
  }
  refused_in_one_line([&] { check_config(parse_model_config(*parsed)); });
  refused_in_one_line([&] { check_plan(read_model_shape(*parsed, "config.json")); });
  return 0;
}
