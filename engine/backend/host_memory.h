#pragma once
// HostMemory: zeroed anonymous memory, mapped once and given back on destruction.
//
// From kHugePage bytes on it is aligned to 2 MiB and asks for huge pages. The kernel zeroes a page
// at its first touch, so mapping is cheap and untouched memory is not resident. Throws StartupError
// where the memory cannot be had. A value that moves; not thread-safe.

#include <cstddef>
#include <cstdint>
#include <utility>

namespace quire::engine {

inline constexpr std::int64_t kHugePage = std::int64_t{2} << 20;  // bytes

// The two calls behind HostMemory, for owners with a type of their own (DeviceBuffer).
[[nodiscard]] void* map_zeroed(std::int64_t bytes);
void unmap(void* data, std::int64_t bytes) noexcept;

class HostMemory final {
 public:
  HostMemory() = default;
  explicit HostMemory(std::int64_t bytes) : data_(map_zeroed(bytes)), bytes_(bytes) {}
  HostMemory(HostMemory&& other) noexcept { swap(other); }
  HostMemory& operator=(HostMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~HostMemory() { unmap(data_, bytes_); }

  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(data_); }
  [[nodiscard]] float* floats() const { return static_cast<float*>(data_); }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  void swap(HostMemory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

}  // namespace quire::engine
