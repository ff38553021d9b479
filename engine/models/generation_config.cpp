#include "engine/models/generation_config.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "engine/models/config_reader.h"
#include "engine/weights/json_file.h"

namespace quire::engine {
namespace {

constexpr const char* kFile = "generation_config.json";
constexpr double kLeast = 1e-6;  // for fields that must be above 0

std::optional<nlohmann::json> read(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / kFile, ignored)) return std::nullopt;
  auto value = read_json_file(folder / kFile);
  if (!value.ok()) throw StartupError(value.error().param + ": " + value.error().message);
  return std::move(*value);
}

std::optional<float> optional_number(const ConfigReader& reader, std::string_view key, double min,
                                     double max) {
  if (!reader.has(key)) return std::nullopt;
  return reader.number(key, min, max);
}

}  // namespace

GenerationDefaults read_generation_defaults(const std::filesystem::path& folder) {
  const auto value = read(folder);
  if (!value) return {};
  const ConfigReader reader(*value, kFile);
  GenerationDefaults defaults{
      .temperature = optional_number(reader, "temperature", 0, 100),
      .top_p = optional_number(reader, "top_p", kLeast, 1),
      .top_k = std::nullopt,
      .min_p = optional_number(reader, "min_p", 0, 1),
      .repetition_penalty = optional_number(reader, "repetition_penalty", kLeast, 100)};
  if (reader.has("top_k")) {
    defaults.top_k = reader.integer("top_k", 0, std::numeric_limits<std::int32_t>::max());
  }
  return defaults;
}

std::optional<std::vector<TokenId>> read_generation_eos(const std::filesystem::path& folder,
                                                        std::int32_t vocab_size) {
  const auto value = read(folder);
  if (!value) return std::nullopt;
  return ConfigReader(*value, kFile).token_ids("eos_token_id", vocab_size);
}

}  // namespace quire::engine
