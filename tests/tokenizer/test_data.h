#pragma once
// Where the tokenizer tests find their files, and loading that fails the test by name.

#include "engine/tokenizer/tokenizer.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

namespace quire::engine::test {

inline std::filesystem::path golden_folder() {
  return std::filesystem::path(QUIRE_SOURCE_DIR) / "tests/golden/tokenizers";
}

// Real data beside the checkout; absent on most machines.
inline std::filesystem::path shared_data() {
  return std::filesystem::path(QUIRE_SOURCE_DIR) / ".." / "shared" / "data";
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  REQUIRE(stream);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  Result<std::unique_ptr<Tokenizer>> result = Tokenizer::load(path);
  INFO((result ? std::string() : result.error().message));
  REQUIRE(result.ok());
  return std::move(result).value();
}

inline std::unique_ptr<Tokenizer> load_golden(const std::string& name) {
  return load_tokenizer(golden_folder() / (name + ".json"));
}

}  // namespace quire::engine::test
