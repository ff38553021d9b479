#include "tests/engine/models/support.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace quire::test {

TempFolder::TempFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "quire-test-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void TempFolder::write(std::string_view name, std::string_view bytes) const {
  std::ofstream file(path_ / name, std::ios::binary);
  file << bytes;
  REQUIRE(file.good());
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

std::filesystem::path golden_folder() {
  return std::filesystem::path(QUIRE_SOURCE_DIR) / "tests" / "golden" / "models";
}

std::filesystem::path shared_data() {
  return std::filesystem::path(QUIRE_SOURCE_DIR) / ".." / "shared" / "data";
}

std::string safetensors_file(std::string_view header, std::size_t data_bytes) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>((header.size() >> (8 * i)) & 0xff);
  file += header;
  for (std::size_t i = 0; i < data_bytes; ++i) file += static_cast<char>(i & 0xff);
  return file;
}

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string startup_error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const StartupError& error) {
    return error.what();
  }
  return "";
}

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t total = 0;
  std::int64_t resident = 0;
  statm >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

}  // namespace quire::test
