#include "engine/weights/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace quire::engine {
namespace {

// Closes a descriptor; the mapping outlives it, so that many shards need no many descriptors.
class Descriptor final {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Error file_error(const std::string& name, std::string message) {
  return {.code = ErrorCode::kInvalidRequest, .message = std::move(message), .param = name};
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  std::string name = path.filename().string();
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) {
    if (errno == ENOENT) return file_error(name, "not found");
    if (errno == EACCES) return file_error(name, "may not be read (permission denied)");
    return file_error(name, "cannot be opened");
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return file_error(name, "cannot be examined");
  if (!S_ISREG(info.st_mode)) return file_error(name, "is not a regular file");
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) return MappedFile(std::move(name), nullptr, 0);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) return file_error(name, "cannot be mapped into memory");
  return MappedFile(std::move(name), static_cast<const std::byte*>(data), size);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(const std::byte* data, std::int64_t bytes) {
  if (bytes <= 0) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  // Rounded outwards: the pages are clean, so a neighbour's byte in them is only read again.
  const auto begin = reinterpret_cast<std::uintptr_t>(data) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(data) + static_cast<std::uintptr_t>(bytes);
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace quire::engine
