#include "scheduler/sequence_index.h"

#include <bit>
#include <utility>

#include "proto/check.h"

namespace quire::scheduler {

SequenceIndex::SequenceIndex(std::size_t capacity)
    : capacity_(capacity), slots_(std::bit_ceil(2 * capacity + 2)) {}

Sequence& SequenceIndex::insert(std::unique_ptr<Sequence> sequence) {
  CHECK_LT(size_, capacity_);
  std::unique_ptr<Sequence>& slot = slots_[slot_of(sequence->id)];
  CHECK(slot == nullptr);
  slot = std::move(sequence);
  ++size_;
  return *slot;
}

std::unique_ptr<Sequence> SequenceIndex::take(SequenceId id) {
  std::size_t gap = slot_of(id);
  CHECK(slots_[gap] != nullptr);
  std::unique_ptr<Sequence> taken = std::move(slots_[gap]);
  --size_;
  // Whoever was pushed past the gap by its probing moves back into it, and leaves the next gap.
  for (std::size_t at = (gap + 1) & mask(); slots_[at] != nullptr; at = (at + 1) & mask()) {
    const std::size_t home = home_of(slots_[at]->id);
    if (((at - home) & mask()) < ((at - gap) & mask())) continue;
    slots_[gap] = std::move(slots_[at]);
    gap = at;
  }
  return taken;
}

std::size_t SequenceIndex::slot_of(SequenceId id) const {
  std::size_t at = home_of(id);
  while (slots_[at] != nullptr && slots_[at]->id != id) at = (at + 1) & mask();
  return at;
}

std::size_t SequenceIndex::home_of(SequenceId id) const {
  // Fibonacci hashing: consecutive ids spread over the table.
  const auto spread = static_cast<std::uint64_t>(id) * 0x9E3779B97F4A7C15u;
  return static_cast<std::size_t>(spread >> 32) & mask();
}

}  // namespace quire::scheduler
