#pragma once
// What generation_config.json says: the end tokens, and the sampling values that the model's makers
// recommend, which the server uses where a request leaves a field out.
//
// The file is optional; a folder without it has neither. StartupError names file and field.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "proto/types.h"

namespace quire::engine {

struct GenerationDefaults {
  std::optional<float> temperature;         // [0, 100]
  std::optional<float> top_p;               // (0, 1]
  std::optional<std::int32_t> top_k;        // 0: off
  std::optional<float> min_p;               // [0, 1]
  std::optional<float> repetition_penalty;  // (0, 100]
};

[[nodiscard]] GenerationDefaults read_generation_defaults(const std::filesystem::path& folder);

// Absent where the file, or the field, is.
[[nodiscard]] std::optional<std::vector<TokenId>> read_generation_eos(
    const std::filesystem::path& folder, std::int32_t vocab_size);

}  // namespace quire::engine
