#pragma once
// What the tests of this folder share: temporary folders and safetensors files made by hand.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"  // before catch.hpp: the last definition of CHECK holds

namespace quire::test {

// A folder that goes with its object.
class TempFolder final {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  void write(std::string_view name, std::string_view bytes) const;

 private:
  std::filesystem::path path_;
};

[[nodiscard]] std::string read_file(const std::filesystem::path& path);
[[nodiscard]] std::filesystem::path golden_folder();  // tests/golden/models
[[nodiscard]] std::filesystem::path shared_data();    // data of others; may be absent

// Length field, header, `data_bytes` bytes that count up.
[[nodiscard]] std::string safetensors_file(std::string_view header, std::size_t data_bytes);
[[nodiscard]] std::span<const std::byte> as_bytes(std::string_view text);

// The message of the StartupError that `call` throws; "" where it throws none.
[[nodiscard]] std::string startup_error_of(const std::function<void()>& call);

// Resident memory of this process in bytes.
[[nodiscard]] std::int64_t resident_bytes();

}  // namespace quire::test
