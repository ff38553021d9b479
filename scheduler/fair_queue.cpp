#include "scheduler/fair_queue.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "proto/check.h"

namespace quire::scheduler {

FairQueue::FairQueue(std::size_t max_sequences) {
  // One more than can be present, so that there is always a place.
  flows_.reserve(max_sequences + 1);
  waiting_.reserve(max_sequences + 1);
}

FairQueue::Flow& FairQueue::flow_of(const Sequence& sequence) {
  return flows_[static_cast<std::size_t>(sequence.flow_slot)];
}

// The flow's own, a new one, or that of one that has left.
std::int32_t FairQueue::slot_for(std::uint64_t tenant, std::int32_t priority) {
  const auto known = std::find_if(flows_.begin(), flows_.end(), [&](const Flow& flow) {
    return flow.tenant == tenant && flow.priority == priority;
  });
  if (known != flows_.end()) return static_cast<std::int32_t>(known - flows_.begin());
  if (flows_.size() < flows_.capacity()) {
    flows_.push_back({.tenant = tenant, .priority = priority});
    return static_cast<std::int32_t>(flows_.size() - 1);
  }
  const auto gone = std::find_if(flows_.begin(), flows_.end(),
                                 [](const Flow& flow) { return flow.num_present == 0; });
  CHECK(gone != flows_.end());
  *gone = {.tenant = tenant, .priority = priority};
  return static_cast<std::int32_t>(gone - flows_.begin());
}

void FairQueue::join(Sequence& sequence) {
  sequence.flow_slot = slot_for(sequence.tenant, sequence.priority);
  ++flow_of(sequence).num_present;
}

void FairQueue::leave(Sequence& sequence) {
  --flow_of(sequence).num_present;
  sequence.flow_slot = -1;
}

Sequence& FairQueue::front() const {
  CHECK(size_ > 0);
  const auto comes_before = [this](std::int32_t a, std::int32_t b) {
    const Flow& x = flows_[static_cast<std::size_t>(a)];
    const Flow& y = flows_[static_cast<std::size_t>(b)];
    return std::tie(x.first->priority, x.served, x.first->arrival, x.first->id) <
           std::tie(y.first->priority, y.served, y.first->arrival, y.first->id);
  };
  const auto best = std::min_element(waiting_.begin(), waiting_.end(), comes_before);
  return *flows_[static_cast<std::size_t>(*best)].first;
}

// Where one begins that was served nothing.
std::int64_t FairQueue::start_of(const Flow& flow) const {
  std::int64_t start = level_;
  for (const std::int32_t slot : waiting_) {
    const Flow& other = flows_[static_cast<std::size_t>(slot)];
    if (other.priority == flow.priority) start = std::min(start, other.served);
  }
  return start;
}

void FairQueue::push(Sequence& sequence) {
  CHECK(sequence.heap_parent == nullptr && sequence.heap_left == nullptr &&
        sequence.heap_right == nullptr);
  Flow& flow = flow_of(sequence);
  if (flow.first == nullptr) {
    flow.served = std::max(flow.served, start_of(flow));
    flow.place = static_cast<std::int32_t>(waiting_.size());
    waiting_.push_back(sequence.flow_slot);
  }
  flow.first = merge(flow.first, &sequence);
  ++size_;
}

void FairQueue::erase(Sequence& sequence) {
  Flow& flow = flow_of(sequence);
  Sequence* const parent = sequence.heap_parent;
  Sequence* const rest = merge(sequence.heap_left, sequence.heap_right);
  if (rest != nullptr) rest->heap_parent = parent;
  if (parent == nullptr) {
    CHECK(flow.first == &sequence);
    flow.first = rest;
  } else {
    (parent->heap_left == &sequence ? parent->heap_left : parent->heap_right) = rest;
  }
  sequence.heap_parent = sequence.heap_left = sequence.heap_right = nullptr;
  --size_;
  if (flow.first != nullptr) return;
  const std::int32_t moved = waiting_.back();
  waiting_[static_cast<std::size_t>(flow.place)] = moved;
  flows_[static_cast<std::size_t>(moved)].place = flow.place;
  flow.place = -1;
  waiting_.pop_back();
}

// Two skew heaps as one: along the right sides, whose children change places on the way, which is
// what keeps the sides short.
Sequence* FairQueue::merge(Sequence* a, Sequence* b) {
  Sequence* root = nullptr;
  Sequence** link = &root;
  Sequence* parent = nullptr;
  while (a != nullptr && b != nullptr) {
    if (RunsBefore{}(*b, *a)) std::swap(a, b);
    *link = a;
    a->heap_parent = parent;
    parent = a;
    link = &a->heap_left;
    Sequence* const right = std::exchange(a->heap_right, a->heap_left);
    a = right;
  }
  *link = a != nullptr ? a : b;
  if (*link != nullptr) (*link)->heap_parent = parent;
  return root;
}

void FairQueue::note_admitted(const Sequence& sequence) {
  level_ = std::max(level_, flow_of(sequence).served);
}

void FairQueue::charge(const Sequence& sequence, std::int64_t num_tokens) {
  flow_of(sequence).served += num_tokens;
}

// Walks the heap without a stack, by the way from which each node was come to.
std::size_t FairQueue::count(const Flow& flow) {
  std::size_t nodes = 0;
  const Sequence* from = nullptr;
  for (const Sequence* at = flow.first; at != nullptr;) {
    const Sequence* next = at->heap_parent;
    if (from == at->heap_parent) {
      ++nodes;
      CHECK(at->heap_parent == nullptr || RunsBefore{}(*at->heap_parent, *at));
      next = at->heap_left != nullptr    ? at->heap_left
             : at->heap_right != nullptr ? at->heap_right
                                         : at->heap_parent;
    } else if (from == at->heap_left && at->heap_right != nullptr) {
      next = at->heap_right;
    }
    from = std::exchange(at, next);
  }
  return nodes;
}

void FairQueue::check_invariants() const {
  std::size_t nodes = 0;
  std::size_t num_waiting = 0;
  for (std::size_t slot = 0; slot < flows_.size(); ++slot) {
    const Flow& flow = flows_[slot];
    CHECK_GE(flow.num_present, 0);
    CHECK_EQ(flow.first != nullptr, flow.place >= 0);
    if (flow.first == nullptr) continue;
    CHECK_EQ(flow.first->priority, flow.priority);
    ++num_waiting;
    CHECK_EQ(waiting_[static_cast<std::size_t>(flow.place)], static_cast<std::int32_t>(slot));
    nodes += count(flow);
  }
  CHECK_EQ(nodes, size_);
  CHECK_EQ(num_waiting, waiting_.size());
}

}  // namespace quire::scheduler
