#pragma once
// read_json_file: a small JSON object from the model folder, read strictly.
//
// At most kMaxJsonBytes and kMaxJsonDepth; duplicate keys are refused. The error's param is the
// file's name, its message one fixed sentence. (tokenizer.json has a reader of its own.)

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "proto/error.h"

namespace quire::engine {

inline constexpr std::size_t kMaxJsonBytes = 16 << 20;  // an index of 100,000 tensors has 10 MiB
inline constexpr int kMaxJsonDepth = 16;

[[nodiscard]] Result<nlohmann::json> read_json_file(const std::filesystem::path& path);
// The same for text already in memory; the error's param is `name`.
[[nodiscard]] Result<nlohmann::json> parse_json_object(std::string_view text,
                                                       std::string_view name);

}  // namespace quire::engine
