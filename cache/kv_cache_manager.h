#pragma once
// KvCacheManager: the room's one door. Gives sequences the blocks they need and takes them back.
//
// One owner: the engine thread; no lock. Holds ids only: the memory is engine/KvStorage's.
// 1. Every block is either free or held; the sum of references equals the sum of table entries
//    (check_invariants).
// 2. allocate_slots is all or nothing.
// 3. A reservation is blocks set aside, not yet in a table: free_blocks() does not count them.
// Cost: O(blocks gained or lost); allocates no memory after construction.

#include <cstdint>
#include <memory>

#include "cache/block_pool.h"
#include "cache/block_table.h"
#include "cache/kv_spec.h"
#include "cache/options.h"

namespace quire::cache {

struct CacheUsage {
  std::int32_t total_blocks = 0;
  std::int32_t free_blocks = 0;      // neither held nor reserved
  std::int32_t reserved_blocks = 0;  // set aside and not yet in a table
};

class KvCacheManager final {
 public:
  KvCacheManager(CacheOptions options, KvCacheSpec spec);

  [[nodiscard]] const KvCacheSpec& spec() const { return spec_; }
  [[nodiscard]] std::int32_t block_size() const { return spec_.groups.front().block_size; }
  // Blocks that hold `num_tokens` tokens.
  [[nodiscard]] std::int64_t blocks_for(std::int64_t num_tokens) const;

  // Grows `table` so that it holds `num_tokens` tokens in all. False (and nothing changed) where
  // too few blocks are free. `reservation`: blocks of reserve() that may be drawn on first; it is
  // lowered by what was used.
  [[nodiscard]] bool allocate_slots(BlockTable& table, std::int64_t num_tokens,
                                    std::int32_t& reservation);
  // Sets `num_blocks` aside; false where too few are free.
  [[nodiscard]] bool reserve(std::int32_t num_blocks);
  void release_reservation(std::int32_t num_blocks);

  // Gives all blocks of the table back, tail first, and empties it.
  void free(BlockTable& table);

  [[nodiscard]] CacheUsage usage() const;
  void check_invariants() const;

 private:
  KvCacheSpec spec_;
  BlockPool pool_;
  std::int32_t reserved_ = 0;
  std::int64_t table_entries_ = 0;  // over all tables: what the references must add up to
};

}  // namespace quire::cache
