#pragma once
// FairQueue: sequences that wait and could run. Among those of the best priority, the tenant that
// was served the fewest tokens of that priority comes first, and of its sequences the first by
// arrival.
//
// Start-time fair queueing within each priority: a flow is a tenant's sequences of one priority,
// and has a count of tokens served, which only grows. One that comes to wait after a pause starts
// at the level of the flow that was admitted last, or at the least that is waiting in its priority,
// so that it neither lives on what it did not use nor pays for what others had, or had in another
// priority. Owns nothing; engine thread.
// 1. One tenant: the order is that of RunsBefore.
// 2. A tenant's sequences keep the order of RunsBefore among themselves.
// 3. Who waits is overtaken by other tenants of its priority only while they were served less. Each
//    token that is computed for the first time raises a count, so what overtakes it is bounded.
// 4. Who was served nothing starts above none of its priority that waits.
// 5. After construction nothing is allocated.
// Cost: front O(flows that wait), push the same where it is its flow's first, else, as erase,
// O(log n) amortised; join O(flows known).

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
  struct Flow {
    std::uint64_t tenant = 0;
    std::int32_t priority = 0;
    std::int64_t served = 0;       // tokens
    std::int32_t num_present = 0;  // its sequences in the scheduler
    Sequence* first = nullptr;     // the root of those that wait: a skew heap by RunsBefore
    std::int32_t place = -1;       // in waiting_, or -1
  };
  [[nodiscard]] Flow& flow_of(const Sequence& sequence);
  [[nodiscard]] std::int32_t slot_for(std::uint64_t tenant, std::int32_t priority);
  [[nodiscard]] std::int64_t start_of(const Flow& flow) const;
  static Sequence* merge(Sequence* a, Sequence* b);
  [[nodiscard]] static std::size_t count(const Flow& flow);

  std::vector<Flow> flows_;            // known; those that are gone until their place is needed
  std::vector<std::int32_t> waiting_;  // the flows that have sequences here
  std::int64_t level_ = 0;             // the most that was served to one that was admitted, by then
  std::size_t size_ = 0;
};

}  // namespace quire::scheduler
