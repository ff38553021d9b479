// config.json and generation_config.json: what is read, and what is refused by name.

#include <nlohmann/json.hpp>

#include "engine/layers/rope.h"
#include "engine/models/generation_config.h"
#include "engine/models/model.h"
#include "engine/models/registry.h"
#include "engine/models/rope_config.h"
#include "tests/engine/models/support.h"

// After our headers: Catch's CHECK is the one that holds here.
#include <catch2/catch.hpp>

namespace quire::engine {
namespace {

using nlohmann::json;
using test::startup_error_of;

json llama() {
  return json::parse(R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 300,
      "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
      "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
      "rms_norm_eps": 1e-5, "hidden_act": "silu", "eos_token_id": 2})");
}

json gpt2() {
  return json::parse(R"({"architectures": ["GPT2LMHeadModel"], "vocab_size": 300, "n_embd": 48,
      "n_layer": 2, "n_head": 4, "n_positions": 160, "activation_function": "gelu_new"})");
}

std::string error_of(const json& config) {
  return startup_error_of([&] { (void)parse_model_config(config); });
}

std::string error_with(json config, const std::string& key, const json& value) {
  config[key] = value;
  return error_of(config);
}

RopeParameters rope_of(json config) { return parse_rope(ConfigReader(config, "config.json"), 256); }

// Every value that a size must not have.
const std::vector<json>& bad_sizes() {
  static const std::vector<json> values = {0,
                                           -1,
                                           2.5,
                                           1e300,
                                           "4",
                                           json::array(),
                                           json::object(),
                                           true,
                                           false,
                                           json::array({4}),
                                           9223372036854775807,
                                           18446744073709551615u,
                                           2147483648,
                                           4294967297};
  return values;
}

}  // namespace

TEST_CASE("config: Llama's sizes and defaults") {
  const ModelConfig config = parse_model_config(llama());
  CHECK(config.architecture == "LlamaForCausalLM");
  CHECK(config.head_dim == 16);
  CHECK(config.num_kv_heads == 2);
  CHECK(config.eos_token_ids == std::vector<TokenId>{2});
  json changed = llama();
  changed.erase("num_key_value_heads");
  changed["head_dim"] = 8;
  changed["eos_token_id"] = {3, 4};
  const ModelConfig other = parse_model_config(changed);
  CHECK(other.num_kv_heads == 4);
  CHECK(other.head_dim == 8);
  CHECK(other.eos_token_ids == std::vector<TokenId>{3, 4});
}

TEST_CASE("config: GPT-2's sizes and defaults") {
  const ModelConfig config = parse_model_config(gpt2());
  CHECK(config.intermediate_size == 192);
  CHECK(config.num_kv_heads == 4);
  CHECK(config.head_dim == 12);
  CHECK(config.max_position_embeddings == 160);
  CHECK(config.eos_token_ids.empty());
}

TEST_CASE("config: each size of the wrong kind or range is refused by name") {
  for (const char* key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings"}) {
    for (const json& value : bad_sizes()) {
      INFO(key << " " << value);
      CHECK(
          error_with(llama(), key, value)
              .starts_with("config.json: " + std::string(key) + ": must be an integer from 1 to "));
    }
  }
  for (const char* key : {"vocab_size", "n_embd", "n_layer", "n_head", "n_inner", "n_positions"}) {
    for (const json& value : bad_sizes()) {
      INFO(key << " " << value);
      CHECK(
          error_with(gpt2(), key, value)
              .starts_with("config.json: " + std::string(key) + ": must be an integer from 1 to "));
    }
  }
}

TEST_CASE("config: a missing field is refused by name") {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "max_position_embeddings", "architectures"}) {
    json config = llama();
    config.erase(key);
    CHECK(error_of(config) == "config.json: " + std::string(key) + ": is missing");
    config[key] = nullptr;
    CHECK(error_of(config) == "config.json: " + std::string(key) + ": is missing");
  }
}

TEST_CASE("config: what does not fit together") {
  CHECK(error_with(llama(), "num_key_value_heads", 3) ==
        "config.json: num_key_value_heads: must divide num_attention_heads");
  CHECK(error_with(llama(), "hidden_size", 66) ==
        "config.json: num_attention_heads: must divide hidden_size where there is no head_dim");
  CHECK(error_with(llama(), "head_dim", 15) ==
        "config.json: head_dim: must be even and at most 1024");
  CHECK(error_with(gpt2(), "n_head", 7) ==
        "config.json: n_head: must divide n_embd into heads of at most 1024");
}

TEST_CASE("config: unknown architectures, activations and features are refused, never ignored") {
  CHECK(error_with(llama(), "architectures", {"MistralForCausalLM"}) ==
        "config.json: architectures: MistralForCausalLM is not supported (only LlamaForCausalLM, "
        "GPT2LMHeadModel)");
  for (const json& value : {json("LlamaForCausalLM"), json::array(), json::array({1}), json(1),
                            json::array({"LlamaForCausalLM", "GPT2LMHeadModel"})}) {
    CHECK(error_with(llama(), "architectures", value) ==
          "config.json: architectures: must be a list of one name");
  }
  CHECK(error_with(llama(), "architectures", {std::string(5000, 'x') + "\n"}).size() < 300);
  CHECK(error_with(llama(), "hidden_act", "gelu") ==
        "config.json: hidden_act: is not supported unless it is silu");
  CHECK(error_with(gpt2(), "activation_function", "relu") ==
        "config.json: activation_function: is not supported unless it is gelu_new");
  CHECK(error_with(llama(), "sliding_window", 4096) ==
        "config.json: sliding_window: is not supported by LlamaForCausalLM here");
  CHECK(error_with(llama(), "sliding_window", nullptr).empty());
  CHECK(error_with(llama(), "quantization_config", {{"bits", 4}}) ==
        "config.json: quantization_config: quantized weights are not supported");
  CHECK(error_with(gpt2(), "quantization_config", {{"bits", 4}}) ==
        "config.json: quantization_config: quantized weights are not supported");
  CHECK(error_with(llama(), "partial_rotary_factor", 0.5) ==
        "config.json: partial_rotary_factor: is not supported unless it is 1");
  CHECK(error_with(gpt2(), "add_cross_attention", true) ==
        "config.json: add_cross_attention: is not supported");
}

TEST_CASE("config: a size under another family's name must agree") {
  const std::vector<std::pair<const char*, const char*>> pairs = {
      {"n_embd", "hidden_size (64)"},
      {"n_inner", "intermediate_size (96)"},
      {"n_layer", "num_hidden_layers (2)"},
      {"n_head", "num_attention_heads (4)"},
      {"n_positions", "max_position_embeddings (256)"}};
  for (const auto& [key, same] : pairs) {
    CHECK(error_with(llama(), key, 1) ==
          "config.json: " + std::string(key) + ": contradicts " + same);
    CHECK(error_with(llama(), key, "2") ==
          "config.json: " + std::string(key) + ": contradicts " + same);
  }
  CHECK(error_with(llama(), "n_layer", 2).empty());
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "head_dim", "num_attention_heads",
        "num_key_value_heads", "max_position_embeddings"}) {
    CHECK(error_with(gpt2(), key, 1)
              .starts_with("config.json: " + std::string(key) + ": contradicts n_"));
  }
  CHECK(error_with(gpt2(), "num_key_value_heads", 4).empty());
}

TEST_CASE("config: what only other families have is refused of either") {
  for (const json& config : {llama(), gpt2()}) {
    const std::string name = config.at("architectures").front();
    for (const char* key : {"sliding_window", "kv_lora_rank", "text_config"}) {
      CHECK(error_with(config, key, 16) ==
            "config.json: " + std::string(key) + ": is not supported by " + name + " here");
    }
  }
}

TEST_CASE("config: switches and numbers of the wrong kind") {
  for (const char* key : {"attention_bias", "mlp_bias", "tie_word_embeddings"}) {
    for (const json& value : {json(1), json("true"), json::array()}) {
      CHECK(error_with(llama(), key, value) ==
            "config.json: " + std::string(key) + ": must be true or false");
    }
  }
  for (const json& value : {json(-1e-5), json(2), json("1e-5"), json(true)}) {
    CHECK(
        error_with(llama(), "rms_norm_eps", value).starts_with("config.json: rms_norm_eps: must"));
    CHECK(error_with(gpt2(), "layer_norm_epsilon", value)
              .starts_with("config.json: layer_norm_epsilon: must be a number"));
  }
  for (const json& value : {json(0.5), json(1e300), json("10000"), json(-1)}) {
    CHECK(error_with(llama(), "rope_theta", value).starts_with("config.json: rope_theta: must be"));
  }
}

TEST_CASE("config: end tokens must be ids of the vocabulary") {
  for (const json& value : {json(300), json(-1), json(1.5), json("2"), json::array({2, 300}),
                            json::array({json::array({2})}), json(std::vector<int>(300, 2))}) {
    CHECK(error_with(llama(), "eos_token_id", value)
              .starts_with("config.json: eos_token_id: must be a token id below vocab_size (300)"));
  }
}

TEST_CASE("config: the spellings of rope scaling mean the same") {
  json linear = llama();
  linear["rope_theta"] = 5000.0;
  linear["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  const RopeParameters expected{.scaling = RopeScaling::kLinear, .theta = 5000.0f, .factor = 4.0f};
  CHECK(rope_of(linear) == expected);
  linear["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 4}};
  CHECK(rope_of(linear) == expected);
  json newer = llama();
  newer["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 5000}};
  CHECK(rope_of(newer) == expected);
  newer["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}, {"rope_theta", 5000}};
  CHECK(rope_of(newer) == expected);
  newer["rope_scaling"]["factor"] = 2.0;
  CHECK(error_of(newer) == "config.json: rope_scaling: contradicts rope_parameters");

  json llama3 = llama();
  llama3["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 128}};
  CHECK(rope_of(llama3).original_max_positions == 128);
  llama3["rope_scaling"].erase("original_max_position_embeddings");
  CHECK(rope_of(llama3).original_max_positions == 256);
  CHECK(rope_of(llama()) == RopeParameters{});
}

TEST_CASE("config: rope scaling that is not known or not whole is refused by name") {
  const auto with = [](json rope) { return error_with(llama(), "rope_scaling", rope); };
  CHECK(with({{"type", "yarn"}, {"factor", 2}}) ==
        "config.json: rope_scaling.type: is not supported (only default, linear and llama3 are)");
  CHECK(with({{"rope_type", "dynamic"}}) ==
        "config.json: rope_scaling.rope_type: is not supported (only default, linear and llama3 "
        "are)");
  CHECK(with({{"type", "linear"}}) == "config.json: rope_scaling.factor: is missing");
  CHECK(with({{"type", "linear"}, {"factor", 0}})
            .starts_with("config.json: rope_scaling.factor: must be a number from "));
  CHECK(with({{"type", "llama3"}, {"factor", 8}}) ==
        "config.json: rope_scaling.low_freq_factor: is missing");
  CHECK(
      with({{"type", "llama3"}, {"factor", 8}, {"low_freq_factor", 4}, {"high_freq_factor", 4}}) ==
      "config.json: rope_scaling.high_freq_factor: must be above low_freq_factor");
  CHECK(with({{"type", "default"}, {"partial_rotary_factor", 0.25}}) ==
        "config.json: rope_scaling.partial_rotary_factor: is not supported unless it is 1");
  CHECK(with(json::array()) == "config.json: rope_scaling: must be an object");
  CHECK(with({{"type", 3}}) == "config.json: rope_scaling.type: must be a string");
}

TEST_CASE("rope: frequencies of the three scalings") {
  const auto plain = rope_frequencies({}, 8);
  REQUIRE(plain.size() == 4);
  CHECK(plain[0] == 1.0f);
  CHECK(plain[2] == Approx(0.01));
  const auto linear = rope_frequencies({.scaling = RopeScaling::kLinear, .factor = 4.0f}, 8);
  CHECK(linear[2] == plain[2] / 4.0f);
  const auto llama3 = rope_frequencies({.scaling = RopeScaling::kLlama3,
                                        .factor = 8.0f,
                                        .low_freq_factor = 1.0f,
                                        .high_freq_factor = 4.0f,
                                        .original_max_positions = 128},
                                       8);
  CHECK(llama3[0] == plain[0]);  // wavelength 6.3, below 128 / 4: kept
  CHECK(llama3[1] < plain[1]);   // 62.8, between 32 and 128
  CHECK(llama3[1] > plain[1] / 8.0f);
  CHECK(llama3[3] == plain[3] / 8.0f);  // 6283, above 128: divided
  const auto table = rope_cos_sin({}, 8, 3);
  REQUIRE(table.size() == 24);
  CHECK(table[0] == 1.0f);  // position 0: cosines
  CHECK(table[4] == 0.0f);  // and sines
  CHECK(table[16] == Approx(std::cos(2.0)));
  CHECK(table[20] == Approx(std::sin(2.0)));
}

TEST_CASE("generation config: optional, over config.json, strict") {
  test::TempFolder folder;
  folder.write("config.json", llama().dump());
  CHECK(read_model_config(folder.path()).eos_token_ids == std::vector<TokenId>{2});
  CHECK_FALSE(read_generation_defaults(folder.path()).temperature.has_value());

  folder.write("generation_config.json",
               R"({"eos_token_id": [5, 6], "temperature": 0.6, "top_p": 0.9, "top_k": 40,
                   "min_p": 0.05, "repetition_penalty": 1.1, "do_sample": true})");
  CHECK(read_model_config(folder.path()).eos_token_ids == std::vector<TokenId>{5, 6});
  const GenerationDefaults defaults = read_generation_defaults(folder.path());
  CHECK(defaults.temperature == 0.6f);
  CHECK(defaults.top_p == 0.9f);
  CHECK(defaults.top_k == 40);
  CHECK(defaults.min_p == 0.05f);
  CHECK(defaults.repetition_penalty == 1.1f);

  const std::vector<std::pair<std::string, std::string>> bad = {
      {R"({"temperature": -1})", "temperature"},
      {R"({"temperature": "1"})", "temperature"},
      {R"({"top_p": 0})", "top_p"},
      {R"({"top_p": 1.5})", "top_p"},
      {R"({"top_k": -1})", "top_k"},
      {R"({"top_k": 1.5})", "top_k"},
      {R"({"min_p": 2})", "min_p"},
      {R"({"repetition_penalty": 0})", "repetition_penalty"}};
  for (const auto& [text, field] : bad) {
    folder.write("generation_config.json", text);
    INFO(text);
    CHECK(startup_error_of([&] {
            (void)read_generation_defaults(folder.path());
          }).starts_with("generation_config.json: " + field + ": must be"));
  }
  folder.write("generation_config.json", R"({"eos_token_id": 300})");
  CHECK(startup_error_of([&] {
          (void)read_model_config(folder.path());
        }).starts_with("generation_config.json: eos_token_id: must be"));
  folder.write("generation_config.json", "{");
  CHECK(startup_error_of([&] {
          (void)read_model_config(folder.path());
        }).starts_with("generation_config.json: is not valid JSON at byte "));
}

TEST_CASE("config: the dtype of a folder without weights") {
  test::TempFolder folder;
  json config = llama();
  const auto dtype_with = [&](const char* key, const json& value) {
    json changed = config;
    changed[key] = value;
    folder.write("config.json", changed.dump());
    return read_model_config(folder.path()).weight_dtype;
  };
  folder.write("config.json", config.dump());
  CHECK(read_model_config(folder.path()).weight_dtype == DType::kFloat32);
  CHECK(dtype_with("torch_dtype", "bfloat16") == DType::kBFloat16);
  CHECK(dtype_with("dtype", "float16") == DType::kFloat16);
  CHECK(startup_error_of([&] { (void)dtype_with("dtype", "int4"); }) ==
        "config.json: dtype: must be float32, float16 or bfloat16");
}

TEST_CASE("kv spec: one group, all layers") {
  const cache::KvCacheSpec spec = kv_spec(parse_model_config(llama()), 16, DType::kBFloat16);
  REQUIRE(spec.groups.size() == 1);
  CHECK(spec.bytes_per_token() == 2 * 2 * 2 * 16 * 2);  // layers, K and V, heads, dims, bytes
  CHECK(spec.groups[0].kind == cache::AttentionKind::kFull);
}

}  // namespace quire::engine
