#include "engine/backend/host_memory.h"

#include <sys/mman.h>

#include <limits>
#include <string>

#include "proto/check.h"
#include "proto/error.h"

namespace quire::engine {
namespace {

constexpr std::int64_t kSmallPage = 4096;

std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

std::int64_t mapped_bytes(std::int64_t bytes) {
  return round_up(bytes, bytes >= kHugePage ? kHugePage : kSmallPage);
}

[[noreturn]] void fail(std::int64_t bytes) {
  throw StartupError("cannot allocate " + std::to_string(bytes) + " bytes of memory");
}

}  // namespace

void* map_zeroed(std::int64_t bytes) {
  CHECK_GE(bytes, 0);
  if (bytes == 0) return nullptr;
  if (bytes > std::numeric_limits<std::int64_t>::max() - 2 * kHugePage) fail(bytes);
  const std::int64_t length = mapped_bytes(bytes);
  const bool huge = bytes >= kHugePage;
  const std::int64_t slack = huge ? kHugePage : 0;
  void* mapping = mmap(nullptr, static_cast<std::size_t>(length + slack), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) fail(bytes);
  if (!huge) return mapping;

  // Give back what lies before and behind the aligned part, so that unmap() needs no record of it.
  auto* begin = static_cast<std::byte*>(mapping);
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  const auto before = static_cast<std::int64_t>(-address & (kHugePage - 1));
  if (before > 0) munmap(begin, static_cast<std::size_t>(before));
  if (slack > before) {
    munmap(begin + before + length, static_cast<std::size_t>(slack - before));
  }
  // Advice only: a kernel without huge pages serves small ones.
  madvise(begin + before, static_cast<std::size_t>(length), MADV_HUGEPAGE);
  return begin + before;
}

void unmap(void* data, std::int64_t bytes) noexcept {
  if (data == nullptr) return;
  munmap(data, static_cast<std::size_t>(mapped_bytes(bytes)));
}

}  // namespace quire::engine
