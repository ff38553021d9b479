#pragma once
// FakeRoot: a folder in the place of /, for what is read from /proc and /sys. Gone with its end.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace quire::test {

class FakeRoot final {
 public:
  FakeRoot() {
    std::string name = (std::filesystem::temp_directory_path() / "quire-root-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~FakeRoot() { std::filesystem::remove_all(path_); }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;

  // As the kernel's files, it ends with a newline.
  void write(const std::string& file, const std::string& text) const {
    const std::filesystem::path target = path_ / file;
    std::filesystem::create_directories(target.parent_path());
    std::ofstream(target) << text << '\n';
  }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace quire::test
