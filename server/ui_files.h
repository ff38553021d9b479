#pragma once
// The web page's files, which stand in the binary: server/ui/.

#include <span>
#include <string_view>

namespace quire::server {

struct UiFile {
  std::string_view name;  // "app.js"
  std::string_view content_type;
  std::string_view text;
};

[[nodiscard]] std::span<const UiFile> ui_files();

}  // namespace quire::server
