// Memory plans against the literature's figures, and parameter counts against what transformers
// makes of the same config.json.

#include "engine/memory_plan.h"

#include <nlohmann/json.hpp>

#include "engine/models/model.h"
#include "engine/models/registry.h"
#include "proto/error.h"
#include "tests/engine/models/support.h"

#include <catch2/catch.hpp>

namespace quire::engine {
namespace {

using nlohmann::json;

constexpr std::int64_t kGiB = std::int64_t{1} << 30;
constexpr std::int64_t kMiB = std::int64_t{1} << 20;

json llama(int layers, int hidden, int heads, int kv_heads, int wide, int words) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"torch_dtype", "float16"},
          {"vocab_size", words},
          {"hidden_size", hidden},
          {"intermediate_size", wide},
          {"num_hidden_layers", layers},
          {"num_attention_heads", heads},
          {"num_key_value_heads", kv_heads},
          {"max_position_embeddings", 131072}};
}

json llama_7b(int kv_heads) { return llama(32, 4096, 32, kv_heads, 11008, 32000); }

json deepseek_v3() {
  json config = llama(61, 7168, 128, 128, 18432, 129280);
  config.update({{"architectures", {"DeepseekV3ForCausalLM"}},
                 {"torch_dtype", "bfloat16"},
                 {"n_routed_experts", 256},
                 {"n_shared_experts", 1},
                 {"moe_intermediate_size", 2048},
                 {"first_k_dense_replace", 3},
                 {"kv_lora_rank", 512},
                 {"q_lora_rank", 1536},
                 {"qk_rope_head_dim", 64},
                 {"qk_nope_head_dim", 128},
                 {"v_head_dim", 128}});
  return config;
}

json published_gpt2() {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"vocab_size", 50257},
          {"n_embd", 768},
          {"n_layer", 12},
          {"n_head", 12},
          {"n_positions", 1024}};
}

ModelShape shape_of(const json& config) { return read_model_shape(config, "config.json"); }

std::string refusal(const json& config) {
  try {
    (void)shape_of(config);
  } catch (const StartupError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("a token's keys and values take what the literature says") {
  // 32 layers, 32 heads of 128, 4,096 tokens, fp16.
  CHECK(shape_of(llama_7b(32)).kv_spec(16, DType::kFloat16).bytes_per_token() * 4096 == 2 * kGiB);
  CHECK(shape_of(llama_7b(8)).kv_spec(16, DType::kFloat16).bytes_per_token() * 4096 == 512 * kMiB);
  CHECK(shape_of(llama_7b(1)).kv_spec(16, DType::kFloat16).bytes_per_token() * 4096 == 64 * kMiB);

  // DeepSeek-V3 at 100,000 tokens: 400 GB as MHA, 3.1 GB as MQA, 7.0 GB as it is.
  const ModelShape shape = shape_of(deepseek_v3());
  const auto gigabytes = [&](HeadSharing sharing) {
    return static_cast<double>(bytes_per_token(shape, sharing, DType::kFloat16)) * 1e5 / 1e9;
  };
  CHECK(gigabytes(HeadSharing::kMha) == Approx(399.8).margin(0.1));
  CHECK(gigabytes(HeadSharing::kMqa) == Approx(3.12).margin(0.01));
  CHECK(gigabytes(HeadSharing::kMla) == Approx(7.03).margin(0.01));
  CHECK(shape.kv_spec(16, DType::kFloat16).bytes_per_token() ==
        bytes_per_token(shape, HeadSharing::kMla, DType::kFloat16));
}

TEST_CASE("parameters are counted as transformers counts them") {
  CHECK(shape_of(llama_7b(32)).parameters == 6738415616);
  json tied = llama(16, 2048, 32, 8, 8192, 128256);
  tied["tie_word_embeddings"] = true;
  CHECK(shape_of(tied).parameters == 1235814400);
  CHECK(shape_of(deepseek_v3()).parameters == 671026404352);

  json mixtral = llama(32, 4096, 32, 8, 14336, 32000);
  mixtral["architectures"] = {"MixtralForCausalLM"};
  mixtral["num_local_experts"] = 8;
  CHECK(shape_of(mixtral).parameters == 46702792704);

  json qwen = llama(28, 3584, 28, 4, 18944, 152064);
  qwen["architectures"] = {"Qwen2ForCausalLM"};
  CHECK(shape_of(qwen).parameters == 7615616512);

  CHECK(shape_of(published_gpt2()).parameters == 124439808);
  CHECK(shape_of(published_gpt2()).dtype == DType::kFloat32);
  json other = published_gpt2();
  other["architectures"] = {"SomeForCausalLM"};
  CHECK(shape_of(other).parameters == 124439808);
}

TEST_CASE("what is planned fits into the memory, and one block more does not") {
  const ModelShape shape = shape_of(llama_7b(8));
  for (const std::int64_t memory : {14 * kGiB, 24 * kGiB, 80 * kGiB}) {
    const MemoryPlan plan = make_memory_plan(
        shape, {.memory = memory, .max_model_len = 4096, .kv_dtype = DType::kFloat16});
    const std::int64_t used =
        plan.weight_bytes + plan.workspace_bytes + plan.num_blocks * plan.page_bytes;
    CHECK(plan.num_blocks > 0);
    CHECK(used <= memory);
    CHECK(used + plan.page_bytes > memory);
    CHECK(plan.num_sequences == plan.num_blocks / 256);
    CHECK(plan.sequence_bytes == 512 * kMiB);
    CHECK(plan.longest_context == std::min<std::int64_t>(plan.num_blocks * 16, 131072));
  }
}

TEST_CASE("a model that does not fit has no blocks and no sequences") {
  const MemoryPlan plan = make_memory_plan(shape_of(llama_7b(32)), {.memory = 10 * kGiB});
  CHECK(plan.num_blocks == 0);
  CHECK(plan.longest_context == 0);
  CHECK_FALSE(plan.fits());
}

TEST_CASE("pages take what they are given, and no more than there is") {
  const ModelShape shape = shape_of(llama_7b(8));
  PlanLimits limits{.memory = 24 * kGiB, .kv_cache_memory = kGiB, .max_model_len = 4096};
  CHECK(make_memory_plan(shape, limits).num_blocks == kGiB / (32 * kMiB / 16));
  CHECK(make_memory_plan(shape, limits).num_sequences == 2);
  limits.kv_cache_memory = 100 * kGiB;
  const std::int64_t most = make_memory_plan(shape, limits).num_blocks;
  limits.kv_cache_memory = 0;
  CHECK(make_memory_plan(shape, limits).num_blocks == most);
}

TEST_CASE("int8 weights take a byte each and a scale per group") {
  const ModelShape shape = shape_of(llama_7b(8));
  const MemoryPlan plan = make_memory_plan(shape, {.memory = 24 * kGiB, .int8_weights = true});
  const std::int64_t table = 32000 * 4096;  // the embedding, which the head is not tied to
  CHECK(shape.table_parameters == table);
  const std::int64_t products = shape.parameters - table;
  CHECK(plan.weight_bytes == products + (products + 127) / 128 * 4 + table * 2);

  json tied = llama_7b(8);
  tied["tie_word_embeddings"] = true;
  CHECK(shape_of(tied).table_parameters == 0);
  json gpt2 = published_gpt2();
  CHECK(shape_of(gpt2).table_parameters == 1024 * 768);  // learned positions
  gpt2["tie_word_embeddings"] = false;
  CHECK(shape_of(gpt2).table_parameters == (1024 + 50257) * 768);
  CHECK(shape_of(gpt2).parameters == 124439808 + 50257 * 768);
}

TEST_CASE("the workspace holds the rotary positions of a sequence") {
  const ModelShape shape = shape_of(llama_7b(8));
  const auto bytes = [&](std::int32_t length) {
    return workspace_bytes(shape, {.max_model_len = length});
  };
  CHECK(bytes(131072) - bytes(4096) == std::int64_t{131072 - 4096} * 128 * 4);
  CHECK(bytes(0) == bytes(131072));
  CHECK(shape_of(published_gpt2()).rotary_dim == 0);
  CHECK(shape_of(deepseek_v3()).rotary_dim == 64);
}

TEST_CASE("what is planned of a folder is what loading it takes") {
  for (const char* name : {"llama-f32", "llama-tied-f32", "gpt2-f32"}) {
    INFO(name);
    const ModelConfig config = read_model_config(test::golden_folder() / name);
    const auto backend = make_reference_backend();
    const auto model = load_model(test::golden_folder() / name, {}, *backend);
    CHECK(make_memory_plan(model_shape(config), {.memory = kGiB}).weight_bytes ==
          model->weight_bytes());
  }
}

TEST_CASE("a model that runs is planned as it runs, whatever else its config.json says") {
  json config = llama_7b(8);
  config["num_local_experts"] = 8;
  CHECK(refusal(config) ==
        "config.json: num_local_experts: is not supported by LlamaForCausalLM here");
  config = llama_7b(8);
  config["v_head_dim"] = 64;  // of another family, and read by nothing here
  CHECK(shape_of(config).kv_spec(16, DType::kFloat16).bytes_per_token() == 32 * 2 * 8 * 128 * 2);
  const ModelConfig served = parse_model_config(config);
  CHECK(kv_spec(served, 16, DType::kFloat16).page_bytes() ==
        shape_of(config).kv_spec(16, DType::kFloat16).page_bytes());
}

// Everything at the end of its range.
json largest(const char* architecture) {
  json config = llama(1024, 1 << 18, 4096, 4096, 1 << 22, 1 << 24);
  config.update({{"architectures", {architecture}},
                 {"torch_dtype", "float32"},
                 {"head_dim", 1024},
                 {"max_position_embeddings", 1 << 26}});
  return config;
}

TEST_CASE("no plan of what is accepted overflows") {
  json experts = largest("SomeForCausalLM");
  experts.update(
      {{"n_routed_experts", 16384}, {"n_shared_experts", 16384}, {"moe_intermediate_size", 4096}});
  json latent = experts;
  latent.update({{"kv_lora_rank", 1 << 18},
                 {"q_lora_rank", 1 << 18},
                 {"qk_nope_head_dim", 1024},
                 {"qk_rope_head_dim", 1024},
                 {"v_head_dim", 1024}});
  for (const json& config : {largest("LlamaForCausalLM"), experts, latent}) {
    const ModelShape shape = shape_of(config);
    CHECK(shape.parameters > 0);
    CHECK(shape.parameters < std::int64_t{1} << 58);
    const PlanLimits limits{.memory = INT64_MAX,
                            .max_num_seqs = 1 << 30,
                            .max_num_batched_tokens = 1 << 30,
                            .kv_dtype = DType::kFloat32};
    const MemoryPlan plan = make_memory_plan(shape, limits);
    CHECK(plan.weight_bytes == shape.parameters * 4);
    CHECK(plan.workspace_bytes > std::int64_t{1} << 53);
    const auto tokens = static_cast<double>(plan.max_model_len);
    const auto per_token = static_cast<double>(plan.bytes_per_token);
    CHECK(static_cast<double>(plan.sequence_bytes) == Approx(tokens * per_token));
    for (const HeadSharing sharing :
         {HeadSharing::kMha, HeadSharing::kGqa, HeadSharing::kMqa, HeadSharing::kMla}) {
      const std::int64_t bytes = bytes_per_token(shape, sharing, DType::kFloat32);
      CHECK(bytes > 0);
      CHECK(bytes < INT64_MAX / plan.max_model_len);
    }
  }
  experts["moe_intermediate_size"] = 4097;
  CHECK(refusal(experts) == "config.json: n_routed_experts: is too many experts for their width");
}

TEST_CASE("a refusal has the plan's figures") {
  const std::string figures =
      plan_figures(make_memory_plan(shape_of(llama_7b(32)), {.memory = 10 * kGiB}));
  for (const char* figure : {"weights take 12.6 GiB", "a page 8.00 MiB", "there are 10.0 GiB"}) {
    INFO(figures);
    CHECK(figures.find(figure) != std::string::npos);
  }
}

TEST_CASE("layers with a window hold a window's blocks") {
  json config = llama(4, 512, 8, 8, 1024, 1000);
  config["architectures"] = {"MistralForCausalLM"};
  config["sliding_window"] = 1024;
  config["layer_types"] = {"sliding_attention", "full_attention", "sliding_attention",
                           "full_attention"};
  const ModelShape shape = shape_of(config);
  CHECK(shape.window_layers == 2);
  const cache::KvCacheSpec kv = shape.kv_spec(16, DType::kFloat16);
  CHECK(kv.groups.size() == 2);
  CHECK(blocks_for(kv, 16) == 2);
  CHECK(blocks_for(kv, 100000) == 6250 + 65);
  config["use_sliding_window"] = false;
  CHECK(shape_of(config).kv_spec(16, DType::kFloat16).groups.size() == 1);
}

TEST_CASE("a config.json that says too little or too much is refused by field") {
  for (const char* field : {"vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size",
                            "num_attention_heads", "max_position_embeddings", "architectures"}) {
    json config = llama_7b(8);
    config.erase(field);
    CHECK(refusal(config).find(std::string("config.json: ") + field) == 0);
    config[field] = -1;
    CHECK(refusal(config).find(std::string("config.json: ") + field) == 0);
  }
  json config = llama_7b(8);
  config["num_key_value_heads"] = 33;
  CHECK(refusal(config).find("config.json: num_key_value_heads") == 0);
  config["architectures"] = {"MistralForCausalLM"};
  CHECK(refusal(config).find("config.json: num_key_value_heads") == 0);
  CHECK(refusal(json::array()) == "config.json: must be an object");
}

TEST_CASE("a model that also sees keeps its decoder's fields inside") {
  json outer = {{"architectures", {"SomeForConditionalGeneration"}}, {"text_config", llama_7b(8)}};
  outer["text_config"].erase("architectures");
  CHECK(shape_of(outer).architecture == "SomeForConditionalGeneration");
  CHECK(shape_of(outer).num_kv_heads == 8);
}

}  // namespace
}  // namespace quire::engine
