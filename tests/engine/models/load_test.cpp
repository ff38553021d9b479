// load_model() on folders that are not as they should be: one line, naming file and tensor.

#include <nlohmann/json.hpp>

#include "engine/backend/backend.h"
#include "engine/models/model.h"
#include "tests/engine/models/harness.h"
#include "tests/engine/models/support.h"

// After our headers: Catch's CHECK is the one that holds here.
#include <catch2/catch.hpp>

namespace quire::engine {
namespace {

using nlohmann::json;
using test::startup_error_of;

// A copy of a golden folder that a test may spoil.
struct Spoiled {
  explicit Spoiled(const char* name) {
    for (const char* file : {"config.json", "model.safetensors"}) {
      folder.write(file, test::read_file(test::golden_folder() / name / file));
    }
  }
  void set(const char* key, const json& value) const {
    json config = json::parse(test::read_file(folder.path() / "config.json"));
    config[key] = value;
    folder.write("config.json", config.dump());
  }
  // Renames a tensor inside the header; both names have the same length.
  void rename(const std::string& from, const std::string& to) const {
    std::string file = test::read_file(folder.path() / "model.safetensors");
    const std::size_t at = file.find("\"" + from + "\"");
    REQUIRE(at != std::string::npos);
    REQUIRE(from.size() == to.size());
    file.replace(at + 1, from.size(), to);
    folder.write("model.safetensors", file);
  }
  [[nodiscard]] std::string error(ModelOptions options = {}) const {
    const auto backend = make_reference_backend();
    return startup_error_of([&] { (void)load_model(folder.path(), options, *backend); });
  }
  test::TempFolder folder;
};

}  // namespace

TEST_CASE("load: a whole folder loads") {
  CHECK(Spoiled("llama-f32").error().empty());
  CHECK(Spoiled("gpt2-f16").error().empty());
}

TEST_CASE("load: missing tensors are named") {
  Spoiled llama("llama-f32");
  llama.rename("model.layers.1.mlp.down_proj.weight", "model.layers.1.mlp.dawn_proj.weight");
  CHECK(llama.error() ==
        "model.safetensors: tensor model.layers.1.mlp.down_proj.weight: is missing");
  Spoiled bias("llama-f32");
  bias.rename("model.layers.0.self_attn.q_proj.bias", "model.layers.0.self_attn.q_proj.bios");
  CHECK(bias.error() ==
        "model.safetensors: tensor model.layers.0.self_attn.q_proj.bias: is missing");
  Spoiled gpt2("gpt2-f32");
  gpt2.rename("transformer.h.0.attn.c_attn.weight", "transformer.h.0.attn.c_attm.weight");
  CHECK(gpt2.error() == "model.safetensors: tensor transformer.h.0.attn.c_attn.weight: is missing");
  Spoiled head("llama-tied-f32");
  head.set("tie_word_embeddings", false);
  CHECK(head.error() == "model.safetensors: tensor lm_head.weight: is missing");
}

TEST_CASE("load: misshapen tensors are named with both shapes") {
  const std::vector<std::pair<std::string, json>> llama_fields = {
      {"vocab_size", 301},        {"hidden_size", 64},        {"intermediate_size", 97},
      {"num_attention_heads", 6}, {"num_key_value_heads", 1}, {"head_dim", 8},
      {"vocab_size", 16'777'216}, {"hidden_size", 262'144},   {"intermediate_size", 4'194'304}};
  for (const auto& [key, value] : llama_fields) {
    Spoiled folder("llama-f32");
    folder.set(key.c_str(), value);
    const std::string error = folder.error();
    INFO(error);
    CHECK(error.starts_with("model.safetensors: tensor "));
    CHECK(error.find(" where config.json asks for [") != std::string::npos);
  }
  Spoiled more("llama-f32");
  more.set("num_hidden_layers", 3);
  CHECK(more.error() ==
        "model.safetensors: tensor model.layers.2.input_layernorm.weight: is missing");
  Spoiled gpt2("gpt2-f32");
  gpt2.set("n_inner", 100);
  CHECK(gpt2.error() ==
        "model.safetensors: tensor transformer.h.0.mlp.c_fc.weight: shape is [48, 96] where "
        "config.json asks for [48, 100]");
}

TEST_CASE("load: huge sizes are refused before memory is taken for them") {
  const std::int64_t before = test::resident_bytes();
  Spoiled folder("llama-f32");
  folder.set("vocab_size", 16'777'216);
  folder.set("hidden_size", 262'144);
  folder.set("intermediate_size", 4'194'304);
  folder.set("num_hidden_layers", 1024);
  CHECK(folder.error().starts_with("model.safetensors: tensor "));
  CHECK(test::resident_bytes() - before < (16 << 20));
}

TEST_CASE("load: a model length past the model's positions") {
  CHECK(Spoiled("gpt2-f32").error({.max_model_len = 161}) ==
        "config.json: n_positions: is below the maximum model length of 161");
  CHECK(Spoiled("gpt2-f32").error({.max_model_len = 160}).empty());
  CHECK(Spoiled("llama-f32").error({.max_model_len = 257}) ==
        "config.json: max_position_embeddings: is below the maximum model length of 257");
}

TEST_CASE("load: folders without config or weights, or with a truncated file") {
  test::TempFolder empty;
  const auto backend = make_reference_backend();
  CHECK(startup_error_of([&] { (void)load_model(empty.path(), {}, *backend); }) ==
        "config.json: not found");
  Spoiled folder("llama-f32");
  const std::string weights = test::read_file(folder.folder.path() / "model.safetensors");
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, std::size_t{100}, weights.size() / 2, weights.size() - 1}) {
    folder.folder.write("model.safetensors", weights.substr(0, size));
    INFO(size);
    CHECK(folder.error().find("model.safetensors: ") == 0);
  }
  std::filesystem::remove(folder.folder.path() / "model.safetensors");
  CHECK(folder.error() == "model.safetensors: not found");
}

TEST_CASE("load: mutants of a config either load or are refused in one line") {
  const std::string text = test::read_file(test::golden_folder() / "gpt2-f16" / "config.json");
  const auto backend = make_reference_backend();
  test::TempFolder folder;
  folder.write("model.safetensors",
               test::read_file(test::golden_folder() / "gpt2-f16" / "model.safetensors"));
  std::uint32_t state = 20261122;
  const auto random = [&state](std::size_t below) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
  };
  int loaded = 0;
  for (int i = 0; i < 400; ++i) {
    std::string mutant = text;
    const std::size_t at = random(mutant.size());
    switch (random(4)) {
      case 0:
        mutant[at] = static_cast<char>(random(256));
        break;
      case 1:
        mutant.erase(at, 1 + random(8));
        break;
      case 2:
        mutant.insert(at, 1, "0123456789-.eE\"{}[],:"[random(21)]);
        break;
      default:
        mutant.resize(at);
    }
    folder.write("config.json", mutant);
    const std::string error =
        startup_error_of([&] { loaded += load_model(folder.path(), {}, *backend) != nullptr; });
    INFO(mutant);
    if (!error.empty()) {
      CHECK((error.starts_with("config.json: ") || error.starts_with("model.safetensors: ")));
    }
    CHECK(error.find('\n') == std::string::npos);
  }
  CHECK(loaded > 10);
  CHECK(loaded < 390);
}

TEST_CASE("load: weight bytes are those of the parameters, each stored once") {
  const auto backend = make_reference_backend();  // widens to float32
  const auto folder = test::golden_folder() / "llama-tied-f32";
  const auto model = load_model(folder, {}, *backend);
  const std::int64_t parameters =
      300 * 64 + 64 + 2 * (2 * 64 + 2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96);
  CHECK(model->weight_bytes() >= parameters * 4);
  CHECK(model->weight_bytes() < parameters * 4 + (1 << 20));
}

}  // namespace quire::engine
