#pragma once
// HostPages: the memory of the host tier, slot after slot; a slot holds all pages of one span.
//
// Taken from the system as it is first touched. Who may touch a slot is the cache's decision
// (cache/tiers.h): the engine thread in a step's copies, the tier thread in a job.

#include <cstddef>
#include <cstdint>
#include <span>

#include "proto/types.h"

namespace quire::engine {

class HostPages final {
 public:
  // Throws StartupError where the system has no such memory.
  HostPages(std::int32_t num_slots, std::int64_t page_bytes, std::int32_t pages_per_slot);
  ~HostPages();
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
  std::byte* memory_ = nullptr;
};

}  // namespace quire::engine
