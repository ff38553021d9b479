#pragma once
// Where a model's chat template stands on disk: a file of the operator's choice,
// chat_template.jinja in the model's folder, or chat_template in its tokenizer_config.json.

#include <filesystem>
#include <optional>
#include <string>

#include "engine/tokenizer/template/chat_template.h"

namespace quire::server {

// `file`: empty, or the operator's. Empty result: the model has none. Throws StartupError, which
// names the file, for one that cannot be read or is no template.
[[nodiscard]] std::optional<engine::ChatTemplate> load_chat_template(
    const std::filesystem::path& model_folder, const std::string& file);

}  // namespace quire::server
