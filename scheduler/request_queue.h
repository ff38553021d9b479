#pragma once
// The two orders of the scheduler, and the queue that keeps the second.
//
// RunsBefore: by (priority, arrival): who takes blocks from whom, and a tenant's waiting line.
// ExpiryQueue: all sequences, by the time at which the scheduler ends them by itself.
// Both orders are total (the id decides last), so that a run is reproducible.

#include <tuple>

#include "scheduler/sequence.h"
#include "scheduler/sequence_heap.h"

namespace quire::scheduler {

struct RunsBefore {
  bool operator()(const Sequence& a, const Sequence& b) const {
    return std::tie(a.priority, a.arrival, a.id) < std::tie(b.priority, b.arrival, b.id);
  }
};

struct ExpiresBefore {
  bool operator()(const Sequence& a, const Sequence& b) const {
    return std::tie(a.expires_at, a.id) < std::tie(b.expires_at, b.id);
  }
};

using ExpiryQueue = SequenceHeap<&Sequence::expiry_slot, ExpiresBefore>;

}  // namespace quire::scheduler
