#pragma once
// FairQueue: sequences that wait and could run. Among those of the best priority, the tenant that
// was served the fewest tokens comes first, and of its sequences the first by arrival.
//
// Start-time fair queueing: each tenant has a count of tokens served, which only grows. One that
// comes to wait after a pause starts at the level of the tenant that was admitted last, so that it
// neither lives on what it did not use nor pays for what others had. Owns nothing; engine thread.
// 1. One tenant: the order is that of RunsBefore.
// 2. A tenant's sequences keep the order of RunsBefore among themselves.
// 3. Who waits is overtaken by other tenants only while they were served less: each admission of
//    theirs raises their count, so the number of those that overtake it is bounded.
// 4. After construction nothing is allocated.
// Cost: front O(tenants that wait), push and erase O(log n) amortised, join O(tenants known).

#include <cstddef>
#include <cstdint>
#include <vector>

#include "scheduler/request_queue.h"
#include "scheduler/sequence.h"

namespace quire::scheduler {

class FairQueue final {
 public:
  // At most so many sequences are here (waiting or not) at once.
  explicit FairQueue(std::size_t max_sequences);

  // Around a sequence's life in the scheduler.
  void join(Sequence& sequence);
  void leave(Sequence& sequence);

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  // Invariant: not empty.
  [[nodiscard]] Sequence& front() const;
  // Invariant: the sequence joined, and does not wait here.
  void push(Sequence& sequence);
  // Invariant: the sequence waits here.
  void erase(Sequence& sequence);

  // It was the front and is admitted.
  void note_admitted(const Sequence& sequence);
  // Tokens are computed for it.
  void charge(const Sequence& sequence, std::int64_t num_tokens);
  void check_invariants() const;

 private:
  struct Tenant {
    std::uint64_t id = 0;
    std::int64_t served = 0;       // tokens
    std::int32_t num_present = 0;  // its sequences in the scheduler
    Sequence* first = nullptr;     // the root of those that wait: a skew heap by RunsBefore
    std::int32_t place = -1;       // in waiting_, or -1
  };
  [[nodiscard]] Tenant& tenant_of(const Sequence& sequence);
  [[nodiscard]] std::int32_t slot_for(std::uint64_t id);
  static Sequence* merge(Sequence* a, Sequence* b);
  [[nodiscard]] static std::size_t count(const Tenant& tenant);

  std::vector<Tenant> tenants_;        // known; those that are gone until their place is needed
  std::vector<std::int32_t> waiting_;  // the tenants that have sequences here
  std::int64_t level_ = 0;             // `served` of the tenant admitted last
  std::size_t size_ = 0;
};

}  // namespace quire::scheduler
