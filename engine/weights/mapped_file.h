#pragma once
// MappedFile: the bytes of a regular file, mapped read-only; the size is fixed when it is opened.
//
// Move-only; thread-compatible. Nothing is read until someone looks.
// A file that another process truncates while it is mapped raises SIGBUS at the next look:
// TruncationGuard (truncation_guard.h) turns that into exit status 1 with one line.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "proto/error.h"

namespace quire::engine {

class MappedFile final {
 public:
  // The error's param is the file's name without its folder. Symbolic links are followed (Hugging
  // Face caches are made of them); anything but a regular file is refused.
  [[nodiscard]] static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept { swap(other); }
  MappedFile& operator=(MappedFile&& other) noexcept {
    swap(other);
    return *this;
  }
  ~MappedFile();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Gives the pages that hold `bytes` bytes at `data`, inside some file's bytes(), back to the
  // system. They stay readable: a later look reads the file again. (HostTensor::let_go)
  static void release(const std::byte* data, std::int64_t bytes);

 private:
  MappedFile(std::string name, const std::byte* data, std::size_t size)
      : name_(std::move(name)), data_(data), size_(size) {}
  void swap(MappedFile& other) noexcept {
    std::swap(name_, other.name_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  std::string name_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace quire::engine
