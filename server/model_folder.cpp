#include "server/model_folder.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "proto/error.h"

namespace quire::server {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDefaultName = "quire-default";
constexpr std::size_t kMaxNamePart = 96;  // Hugging Face's own limit on names

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// No path can be smuggled in as a name.
bool is_name_part(std::string_view part) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !part.empty() && part.size() <= kMaxNamePart && part != "." && part != ".." &&
         std::all_of(part.begin(), part.end(), allowed);
}

fs::path find_in_cache(std::string_view organisation, std::string_view name,
                       const fs::path& hf_home) {
  fs::path folder = hf_home / "hub";
  folder /= "models--" + std::string(organisation) + "--" + std::string(name);
  std::ifstream ref(folder / "refs" / "main");
  std::string revision;
  if (!(ref >> revision) || !is_name_part(revision)) return {};
  folder = folder / "snapshots" / revision;
  return is_folder(folder) ? folder : fs::path();
}

}  // namespace

// Called before there are threads.
fs::path hugging_face_home() {
  const char* const own = std::getenv("HF_HOME");  // NOLINT(concurrency-mt-unsafe)
  if (own != nullptr && *own != '\0') return own;
  const char* const home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe)
  return fs::path(home == nullptr ? "/" : home) / ".cache" / "huggingface";
}

fs::path find_model_folder(std::string_view model, const fs::path& hf_home) {
  if (is_folder(model)) return model;
  const std::size_t slash = model.find('/');
  if (slash != std::string_view::npos) {
    const std::string_view organisation = model.substr(0, slash);
    const std::string_view name = model.substr(slash + 1);
    if (is_name_part(organisation) && is_name_part(name)) {
      if (fs::path found = find_in_cache(organisation, name, hf_home); !found.empty()) return found;
    }
  }
  throw StartupError("--model: " + std::string(model) +
                     " is neither a folder nor in the Hugging Face cache " +
                     (hf_home / "hub").string());
}

fs::path find_default_model() {
  std::error_code ignored;
  const fs::path binary = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path places[] = {binary.parent_path() / ".." / "deploy" / "model",
                             fs::path(QUIRE_SOURCE_DIR) / "deploy" / "model",
                             "/usr/share/quire/model"};
  for (const fs::path& place : places) {
    if (fs::exists(place / "config.json", ignored)) return place.lexically_normal();
  }
  throw StartupError("--model: none was given, and the default model is not installed");
}

std::string default_model_name(std::string_view model, const fs::path& folder) {
  if (model.empty()) return std::string(kDefaultName);
  if (!is_folder(model)) return std::string(model);
  std::error_code ignored;
  const fs::path canonical = fs::canonical(folder, ignored);
  const std::string name = canonical.filename().string();
  return name.empty() ? std::string(kDefaultName) : name;
}

}  // namespace quire::server
