#include "scheduler/fair_queue.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "proto/check.h"

namespace quire::scheduler {

FairQueue::FairQueue(std::size_t max_sequences) {
  // One more than can be present, so that there is always a place.
  tenants_.reserve(max_sequences + 1);
  waiting_.reserve(max_sequences + 1);
}

FairQueue::Tenant& FairQueue::tenant_of(const Sequence& sequence) {
  return tenants_[static_cast<std::size_t>(sequence.tenant_slot)];
}

// The tenant's own, a new one, or that of one who has left.
std::int32_t FairQueue::slot_for(std::uint64_t id) {
  const auto known =
      std::find_if(tenants_.begin(), tenants_.end(), [id](const Tenant& t) { return t.id == id; });
  if (known != tenants_.end()) return static_cast<std::int32_t>(known - tenants_.begin());
  if (tenants_.size() < tenants_.capacity()) {
    tenants_.push_back({.id = id});
    return static_cast<std::int32_t>(tenants_.size() - 1);
  }
  const auto gone = std::find_if(tenants_.begin(), tenants_.end(),
                                 [](const Tenant& t) { return t.num_present == 0; });
  CHECK(gone != tenants_.end());
  *gone = {.id = id};
  return static_cast<std::int32_t>(gone - tenants_.begin());
}

void FairQueue::join(Sequence& sequence) {
  sequence.tenant_slot = slot_for(sequence.tenant);
  ++tenant_of(sequence).num_present;
}

void FairQueue::leave(Sequence& sequence) {
  --tenant_of(sequence).num_present;
  sequence.tenant_slot = -1;
}

Sequence& FairQueue::front() const {
  CHECK(size_ > 0);
  const auto comes_before = [this](std::int32_t a, std::int32_t b) {
    const Tenant& x = tenants_[static_cast<std::size_t>(a)];
    const Tenant& y = tenants_[static_cast<std::size_t>(b)];
    return std::tie(x.first->priority, x.served, x.first->arrival, x.first->id) <
           std::tie(y.first->priority, y.served, y.first->arrival, y.first->id);
  };
  const auto best = std::min_element(waiting_.begin(), waiting_.end(), comes_before);
  return *tenants_[static_cast<std::size_t>(*best)].first;
}

void FairQueue::push(Sequence& sequence) {
  CHECK(sequence.heap_parent == nullptr && sequence.heap_left == nullptr &&
        sequence.heap_right == nullptr);
  Tenant& tenant = tenant_of(sequence);
  if (tenant.first == nullptr) {
    tenant.served = std::max(tenant.served, level_);
    tenant.place = static_cast<std::int32_t>(waiting_.size());
    waiting_.push_back(sequence.tenant_slot);
  }
  tenant.first = merge(tenant.first, &sequence);
  ++size_;
}

void FairQueue::erase(Sequence& sequence) {
  Tenant& tenant = tenant_of(sequence);
  Sequence* const parent = sequence.heap_parent;
  Sequence* const rest = merge(sequence.heap_left, sequence.heap_right);
  if (rest != nullptr) rest->heap_parent = parent;
  if (parent == nullptr) {
    CHECK(tenant.first == &sequence);
    tenant.first = rest;
  } else {
    (parent->heap_left == &sequence ? parent->heap_left : parent->heap_right) = rest;
  }
  sequence.heap_parent = sequence.heap_left = sequence.heap_right = nullptr;
  --size_;
  if (tenant.first != nullptr) return;
  const std::int32_t moved = waiting_.back();
  waiting_[static_cast<std::size_t>(tenant.place)] = moved;
  tenants_[static_cast<std::size_t>(moved)].place = tenant.place;
  tenant.place = -1;
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
  level_ = std::max(level_, tenant_of(sequence).served);
}

void FairQueue::charge(const Sequence& sequence, std::int64_t num_tokens) {
  tenant_of(sequence).served += num_tokens;
}

// Walks the heap without a stack, by the way from which each node was come to.
std::size_t FairQueue::count(const Tenant& tenant) {
  std::size_t nodes = 0;
  const Sequence* from = nullptr;
  for (const Sequence* at = tenant.first; at != nullptr;) {
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
  for (std::size_t slot = 0; slot < tenants_.size(); ++slot) {
    const Tenant& tenant = tenants_[slot];
    CHECK_GE(tenant.num_present, 0);
    CHECK_EQ(tenant.first != nullptr, tenant.place >= 0);
    if (tenant.first == nullptr) continue;
    ++num_waiting;
    CHECK_EQ(waiting_[static_cast<std::size_t>(tenant.place)], static_cast<std::int32_t>(slot));
    nodes += count(tenant);
  }
  CHECK_EQ(nodes, size_);
  CHECK_EQ(num_waiting, waiting_.size());
}

}  // namespace quire::scheduler
