// What the scheduler tells of its sequences: Scheduler::describe.

#include <algorithm>

#include "scheduler/scheduler.h"

namespace quire::scheduler {
namespace {

char state_of(const Sequence& sequence, const cache::KvCacheManager& cache) {
  if (sequence.paused) return 'p';
  if (sequence.state == SequenceState::kRunning) return 'r';
  return sequence.num_preemptions > 0 && cache.is_in_host(sequence.blocks) ? 's' : 'w';
}

// Appends the blocks that the sequence holds.
void append_tables(const Sequence& sequence, PageSnapshot& snapshot) {
  for (std::size_t g = 0; g < sequence.blocks.tables().size(); ++g) {
    const cache::BlockTable& table = sequence.blocks.table(g);
    for (const BlockId block : table.blocks().subspan(table.first())) {
      snapshot.groups[static_cast<std::size_t>(block)] = static_cast<std::int8_t>(g);
      snapshot.tables.push_back(block);
    }
  }
}

}  // namespace

SlotCounts Scheduler::count_slots() const {
  SlotCounts counts;
  counts.num_groups = cache_.num_groups();
  for (const RunningList* line : {&running_, &parked_}) {
    for (const Sequence* sequence : line->items()) {
      for (std::size_t g = 0; g < counts.num_groups; ++g) {
        const std::int64_t size = cache_.spec().groups[g].block_size;
        const cache::BlockTable& table = sequence->blocks.table(g);
        const auto held = static_cast<std::int64_t>(table.num_held()) * size;
        const auto end = static_cast<std::int64_t>(table.size()) * size;
        counts.held[g] += held;
        counts.wasted[g] += std::clamp<std::int64_t>(end - sequence->num_computed_tokens, 0, held);
      }
    }
  }
  return counts;
}

void Scheduler::describe(PageSnapshot& snapshot) const {
  snapshot.step = static_cast<std::uint64_t>(last_step_);
  snapshot.requests.clear();
  snapshot.tables.clear();
  for (const Sequence* sequence : expiry_.items()) {
    PageSnapshot::Request request{.id = sequence->id,
                                  .state = state_of(*sequence, cache_),
                                  .num_prompt_tokens = sequence->num_prompt_tokens,
                                  .num_tokens = sequence->num_tokens(),
                                  .num_computed = sequence->num_computed_tokens,
                                  .num_preemptions = sequence->num_preemptions};
    request.table_begin = static_cast<std::int32_t>(snapshot.tables.size());
    append_tables(*sequence, snapshot);
    request.table_end = static_cast<std::int32_t>(snapshot.tables.size());
    snapshot.requests.push_back(request);
  }
}

}  // namespace quire::scheduler
