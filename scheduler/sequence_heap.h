#pragma once
// SequenceHeap: a priority queue of sequences from whose middle one can be taken out.
//
// A binary heap that writes each sequence's place into the sequence itself (`Slot`), so that
// erase() needs no search. Holds pointers, owns nothing; a sequence is in at most one heap per
// Slot.
// 1. front() comes before all others by `Before`, a strict total order.
// 2. sequence.*Slot is its index here, or -1 where it is in none.
// Cost: front O(1), push and erase O(log n); allocates nothing after construction.

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "proto/check.h"
#include "scheduler/sequence.h"

namespace quire::scheduler {

template <std::int32_t Sequence::*Slot, typename Before>
class SequenceHeap final {
 public:
  explicit SequenceHeap(std::size_t capacity) { heap_.reserve(capacity); }

  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] std::size_t size() const { return heap_.size(); }
  // In heap order, which is no order to rely on.
  [[nodiscard]] std::span<Sequence* const> items() const { return heap_; }
  // Invariant: not empty.
  [[nodiscard]] Sequence& front() const {
    CHECK(!heap_.empty());
    return *heap_.front();
  }

  void push(Sequence& sequence) {
    CHECK_EQ(sequence.*Slot, -1);
    CHECK_LT(heap_.size(), heap_.capacity());
    heap_.push_back(&sequence);
    sift_up(heap_.size() - 1);
  }

  // Invariant: the sequence is in this heap.
  void erase(Sequence& sequence) {
    const auto at = static_cast<std::size_t>(sequence.*Slot);
    CHECK_LT(at, heap_.size());
    CHECK(heap_[at] == &sequence);
    sequence.*Slot = -1;
    Sequence* const last = heap_.back();
    heap_.pop_back();
    if (last == &sequence) return;
    place(last, at);
    sift_up(at);
    sift_down(static_cast<std::size_t>(last->*Slot));
  }

  void check_invariants() const {
    for (std::size_t i = 0; i < heap_.size(); ++i) {
      CHECK_EQ(heap_[i]->*Slot, static_cast<std::int32_t>(i));
      if (i > 0) CHECK(Before{}(*heap_[(i - 1) / 2], *heap_[i]));
    }
  }

 private:
  void place(Sequence* sequence, std::size_t at) {
    heap_[at] = sequence;
    sequence->*Slot = static_cast<std::int32_t>(at);
  }

  void sift_up(std::size_t at) {
    Sequence* const rising = heap_[at];
    while (at > 0 && Before{}(*rising, *heap_[(at - 1) / 2])) {
      place(heap_[(at - 1) / 2], at);
      at = (at - 1) / 2;
    }
    place(rising, at);
  }

  void sift_down(std::size_t at) {
    Sequence* const sinking = heap_[at];
    for (std::size_t child = 2 * at + 1; child < heap_.size(); child = 2 * at + 1) {
      if (child + 1 < heap_.size() && Before{}(*heap_[child + 1], *heap_[child])) ++child;
      if (!Before{}(*heap_[child], *sinking)) break;
      place(heap_[child], at);
      at = child;
    }
    place(sinking, at);
  }

  std::vector<Sequence*> heap_;
};

}  // namespace quire::scheduler
