#pragma once
// Where a model lies on disk: a folder, a name in the Hugging Face cache, or the default model.
// Nothing is fetched from anywhere.

#include <filesystem>
#include <string>
#include <string_view>

namespace quire::server {

// `model`: a folder; or ORG/NAME, looked up in `hf_home`/hub (models--ORG--NAME, refs/main).
// Throws StartupError, which names what was looked for.
[[nodiscard]] std::filesystem::path find_model_folder(std::string_view model,
                                                      const std::filesystem::path& hf_home);

// Looked for beside the binary, in the source tree it was built from, and in /usr/share/quire.
[[nodiscard]] std::filesystem::path find_default_model();

// $HF_HOME, else ~/.cache/huggingface.
[[nodiscard]] std::filesystem::path hugging_face_home();

// What clients call it without --served-model-name.
[[nodiscard]] std::string default_model_name(std::string_view model,
                                             const std::filesystem::path& folder);

}  // namespace quire::server
