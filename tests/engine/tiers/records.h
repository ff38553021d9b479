#pragma once
// Records, keys and pages for the tests of the tiers.

#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "engine/tiers/page_record.h"

namespace quire::engine {

inline const RecordShape kShape{.span_tokens = 4, .page_bytes = 5000};

// The n-th span of some prompt.
struct Span {
  explicit Span(std::int32_t n) : tokens{n, n + 1, n + 2, n + 3}, pages(kShape.page_bytes) {
    key = cache::child_key({}, tokens);
    for (std::size_t i = 0; i < pages.size(); ++i) {
      pages[i] = static_cast<std::byte>(static_cast<std::size_t>(n) * 31 + i);
    }
  }
  std::vector<TokenId> tokens;
  std::vector<std::byte> pages;
  cache::PageKey key;
};

inline std::vector<std::byte> record_of(const Span& span, std::uint64_t stamp = 1) {
  std::vector<std::byte> bytes(kShape.record_bytes());
  write_record(kShape, {.stamp = stamp, .key = span.key, .tokens = span.tokens}, span.pages, bytes);
  return bytes;
}

// A folder of its own, gone at the end.
struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "quire-tiers-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::filesystem::path path;
};

}  // namespace quire::engine
