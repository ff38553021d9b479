#pragma once
// RunningList: the sequences that hold blocks, in the order (priority, arrival).
//
// A sorted array of pointers: there are at most max_num_seqs (hundreds), each step walks all of
// them, and the one that is preempted is near the end. Owns nothing.
// 1. Sorted by RunsBefore, no sequence twice.
// Cost: insert and erase move at most size() pointers; allocates nothing after construction.

#include <cstddef>
#include <span>
#include <vector>

#include "scheduler/sequence.h"

namespace quire::scheduler {

class RunningList final {
 public:
  explicit RunningList(std::size_t capacity) { items_.reserve(capacity); }

  [[nodiscard]] bool empty() const { return items_.empty(); }
  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] Sequence& operator[](std::size_t i) const { return *items_[i]; }
  // Invariant: not empty.
  [[nodiscard]] Sequence& back() const { return *items_.back(); }
  [[nodiscard]] std::span<Sequence* const> items() const { return items_; }

  void insert(Sequence& sequence);
  // Invariant: the sequence is in this list.
  void erase(Sequence& sequence);
  void check_invariants() const;

 private:
  std::vector<Sequence*> items_;
};

}  // namespace quire::scheduler
