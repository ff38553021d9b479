#include "engine/tiers/host_pages.h"

#include <sys/mman.h>

#include <utility>

#include "proto/check.h"
#include "proto/error.h"

namespace quire::engine {

namespace {

std::shared_ptr<std::byte> map_pages(std::size_t bytes) {
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw StartupError("--kv-host-memory: the system has no such memory");
  return {static_cast<std::byte*>(memory), [bytes](std::byte* data) { ::munmap(data, bytes); }};
}

}  // namespace

HostPages::HostPages(std::int32_t num_slots, std::int64_t page_bytes, std::int32_t pages_per_slot,
                     std::shared_ptr<std::byte> memory)
    : num_slots_(num_slots),
      page_bytes_(page_bytes),
      slot_bytes_(page_bytes * pages_per_slot),
      memory_(std::move(memory)) {
  CHECK_GE(num_slots, 1);
  if (memory_ == nullptr) memory_ = map_pages(static_cast<std::size_t>(num_slots_ * slot_bytes_));
}

std::span<std::byte> HostPages::slot(BlockId slot) const {
  CHECK(static_cast<std::int32_t>(slot) >= 0 && static_cast<std::int32_t>(slot) < num_slots_);
  return {memory_.get() + static_cast<std::int64_t>(slot) * slot_bytes_,
          static_cast<std::size_t>(slot_bytes_)};
}

std::byte* HostPages::page(BlockId page) const {
  const std::int64_t offset = static_cast<std::int64_t>(page) * page_bytes_;
  CHECK(offset >= 0 && offset < num_slots_ * slot_bytes_);
  return memory_.get() + offset;
}

}  // namespace quire::engine
