#pragma once
// The table of architectures: what config.json's "architectures" may name.
//
// Adding one: its file with parse and load, their declarations here, a line in registry.cpp.

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/models/config_reader.h"
#include "engine/models/model.h"
#include "engine/weights/weight_map.h"

namespace quire::engine {

// What load gets beside the folder's config.json.
struct LoadContext {
  const WeightMap& weights;
  Backend& backend;
  std::optional<DType> dtype;                         // to convert to
  std::optional<DType> product_dtype = std::nullopt;  // the same, of the matrices of products alone
  std::int32_t max_positions = 0;                     // a sequence's longest length; at least 1
};

struct Architecture {
  std::string_view name;
  // Checks every field that the model reads. Leaves weight_dtype and eos_token_ids alone.
  ModelConfig (*parse)(const ConfigReader& config);
  std::unique_ptr<Model> (*load)(const ConfigReader& config, const ModelConfig& common,
                                 const LoadContext& context);
};

[[nodiscard]] std::span<const Architecture> architectures();

// Whether config.json names an architecture of the table, and nothing else.
[[nodiscard]] bool is_known(const nlohmann::json& config);
// The checked config.json of any known architecture; what read_model_config() does without files,
// weight_dtype aside. file: the name that errors begin with.
[[nodiscard]] ModelConfig parse_model_config(const nlohmann::json& config,
                                             const std::string& file = "config.json");

// llama.cpp
[[nodiscard]] ModelConfig parse_llama(const ConfigReader& config);
[[nodiscard]] std::unique_ptr<Model> load_llama(const ConfigReader& config,
                                                const ModelConfig& common,
                                                const LoadContext& context);
// gpt2.cpp
[[nodiscard]] ModelConfig parse_gpt2(const ConfigReader& config);
[[nodiscard]] std::unique_ptr<Model> load_gpt2(const ConfigReader& config,
                                               const ModelConfig& common,
                                               const LoadContext& context);

}  // namespace quire::engine
