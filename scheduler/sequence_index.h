#pragma once
// SequenceIndex: owns the sequences and finds them by id.
//
// A hash table with open addressing and linear probing, at most half full; erase() closes the gap,
// so there are no tombstones and the cost does not grow with age. Sequences never move in memory.
// Cost: O(1) expected; allocates nothing after construction.

#include <cstddef>
#include <memory>
#include <vector>

#include "scheduler/sequence.h"

namespace quire::scheduler {

class SequenceIndex final {
 public:
  explicit SequenceIndex(std::size_t capacity);

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  // nullptr where there is none.
  [[nodiscard]] Sequence* find(SequenceId id) const { return slots_[slot_of(id)].get(); }
  // Invariants: the id is new, and there is room.
  Sequence& insert(std::unique_ptr<Sequence> sequence);
  // Invariant: the id is here.
  std::unique_ptr<Sequence> take(SequenceId id);

 private:
  // Where the id is, or the empty slot where it would go.
  [[nodiscard]] std::size_t slot_of(SequenceId id) const;
  [[nodiscard]] std::size_t home_of(SequenceId id) const;
  [[nodiscard]] std::size_t mask() const { return slots_.size() - 1; }

  std::size_t capacity_;
  std::size_t size_ = 0;
  std::vector<std::unique_ptr<Sequence>> slots_;  // a power of two
};

}  // namespace quire::scheduler
