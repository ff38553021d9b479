#include "cache/kv_cache_manager.h"

#include <algorithm>
#include <utility>

#include "proto/check.h"

namespace quire::cache {

KvCacheManager::KvCacheManager(CacheOptions options, KvCacheSpec spec)
    : spec_(std::move(spec)), pool_(options.num_blocks) {
  CHECK_EQ(spec_.groups.size(), 1u);  // a sequence has one table, hence one group, today
  CHECK_GE(block_size(), 1);
}

std::int64_t KvCacheManager::blocks_for(std::int64_t num_tokens) const {
  return (num_tokens + block_size() - 1) / block_size();
}

bool KvCacheManager::allocate_slots(BlockTable& table, std::int64_t num_tokens,
                                    std::int32_t& reservation) {
  CHECK_GE(reservation, 0);
  CHECK_LE(reservation, reserved_);
  const std::int64_t missing = blocks_for(num_tokens) - static_cast<std::int64_t>(table.size());
  if (missing <= 0) return true;

  const auto drawn = static_cast<std::int32_t>(std::min<std::int64_t>(missing, reservation));
  if (missing - drawn > usage().free_blocks) return false;
  reservation -= drawn;
  reserved_ -= drawn;
  for (std::int64_t i = 0; i < missing; ++i) table.blocks_.push_back(pool_.allocate().value());
  table_entries_ += missing;
  return true;
}

bool KvCacheManager::reserve(std::int32_t num_blocks) {
  CHECK_GE(num_blocks, 0);
  if (num_blocks > usage().free_blocks) return false;
  reserved_ += num_blocks;
  return true;
}

void KvCacheManager::release_reservation(std::int32_t num_blocks) {
  CHECK_GE(num_blocks, 0);
  CHECK_LE(num_blocks, reserved_);
  reserved_ -= num_blocks;
}

void KvCacheManager::free(BlockTable& table) {
  // Tail first: the head of a prompt is the likeliest to be asked for again, so it is evicted last.
  for (auto block = table.blocks_.rbegin(); block != table.blocks_.rend(); ++block) {
    pool_.release(*block);
  }
  table_entries_ -= static_cast<std::int64_t>(table.size());
  table.blocks_.clear();
}

CacheUsage KvCacheManager::usage() const {
  return {.total_blocks = pool_.num_blocks(),
          .free_blocks = pool_.num_free() - reserved_,
          .reserved_blocks = reserved_};
}

void KvCacheManager::check_invariants() const {
  pool_.check_invariants();
  CHECK_EQ(pool_.num_references(), table_entries_);
  CHECK_GE(reserved_, 0);
  CHECK_LE(reserved_, pool_.num_free());
}

}  // namespace quire::cache
