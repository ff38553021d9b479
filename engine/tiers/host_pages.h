#pragma once
// HostPages: the memory of the host tier, slot after slot; a slot holds all pages of one span.
//
// The backend's (pinned, for a device), or taken from the system as it is first touched. Who may
// touch a slot is the cache's decision (cache/tiers.h): the engine thread in a step's copies, the
// tier thread in a job.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "proto/types.h"

namespace quire::engine {

class HostPages final {
 public:
  // `memory`: room for all slots (Backend::allocate_host_pages); null: the system's own. Throws
  // StartupError where it has none.
  HostPages(std::int32_t num_slots, std::int64_t page_bytes, std::int32_t pages_per_slot,
            std::shared_ptr<std::byte> memory = nullptr);
  HostPages(const HostPages&) = delete;
  HostPages& operator=(const HostPages&) = delete;

  [[nodiscard]] std::span<std::byte> slot(BlockId slot) const;
  // Pages are numbered through all slots.
  [[nodiscard]] std::byte* page(BlockId page) const;
  [[nodiscard]] std::int32_t num_slots() const { return num_slots_; }
  [[nodiscard]] std::int64_t slot_bytes() const { return slot_bytes_; }

 private:
  std::int32_t num_slots_;
  std::int64_t page_bytes_;
  std::int64_t slot_bytes_;
  std::shared_ptr<std::byte> memory_;
};

}  // namespace quire::engine
