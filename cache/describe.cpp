// What the cache tells of its blocks: KvCacheManager::describe.

#include "cache/kv_cache_manager.h"

namespace quire::cache {
namespace {

PageState state_of(std::int32_t ref_count, bool is_cached) {
  if (ref_count > 1) return PageState::kShared;
  if (ref_count == 1) return PageState::kRunning;
  return is_cached ? PageState::kCached : PageState::kFree;
}

}  // namespace

void KvCacheManager::describe(PageSnapshot& snapshot) const {
  const auto count = static_cast<std::size_t>(pool_.num_blocks());
  snapshot.page_bytes = spec_.page_bytes();
  snapshot.block_size = spec_.groups.front().block_size;
  const std::int32_t pages = prefix_.pages_per_node();
  snapshot.host_pages = tiers_.host().num_slots() * pages;
  snapshot.swapped_pages = tiers_.host().num_used() * pages;
  snapshot.states.resize(count);
  snapshot.ref_counts.resize(count);
  snapshot.groups.resize(count);
  snapshot.changed_at.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const BlockId block{static_cast<std::int32_t>(i)};
    const std::int32_t ref_count = pool_.ref_count(block);
    snapshot.states[i] = state_of(ref_count, prefix_.holds(block));
    snapshot.ref_counts[i] = ref_count;
    snapshot.groups[i] = static_cast<std::int8_t>(prefix_.group_of(block));
    snapshot.changed_at[i] = pool_.changed_at(block);
  }
}

}  // namespace quire::cache
