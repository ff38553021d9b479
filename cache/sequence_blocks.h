#pragma once
// SequenceBlocks: all that the cache keeps for one sequence: a table per group, how many blocks it
// was promised, and how far its tokens stand in the prefix tree.
//
// Belongs to its Sequence; only KvCacheManager changes it. Destroying one that still holds blocks
// is a broken invariant (checked): the manager frees them first.

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "cache/block_table.h"
#include "cache/page_key.h"
#include "cache/prefix_cache.h"
#include "proto/check.h"
#include "proto/page_source.h"

namespace quire::cache {

class SequenceBlocks final {
 public:
  SequenceBlocks() = default;
  SequenceBlocks(SequenceBlocks&& other) noexcept = default;
  SequenceBlocks& operator=(SequenceBlocks&& other) noexcept = default;
  SequenceBlocks(const SequenceBlocks&) = delete;
  SequenceBlocks& operator=(const SequenceBlocks&) = delete;
  ~SequenceBlocks() { CHECK_EQ(num_held_, 0); }

  // One per group once the manager made room; before that none.
  [[nodiscard]] std::span<const BlockTable> tables() const { return tables_; }
  [[nodiscard]] const BlockTable& table(std::size_t group) const { return tables_[group]; }
  // Entries of all tables.
  [[nodiscard]] std::int32_t num_held() const { return num_held_; }
  // What the last claim found, by where it was.
  [[nodiscard]] const ReusedTokens& reused() const { return reused_; }
  // Set aside in the pool for this sequence and not yet in a table.
  [[nodiscard]] std::int32_t num_reserved() const { return std::max(0, num_promised_ - num_held_); }

 private:
  friend class KvCacheManager;
  std::vector<BlockTable> tables_;
  std::int32_t num_held_ = 0;
  std::int32_t num_promised_ = 0;  // it can always have this many; 0: no promise
  // The deepest node of the tree that holds this sequence's tokens, which it pins.
  NodeId node_ = kNoNode;
  std::int32_t num_committed_ = 0;  // tokens up to there
  ReusedTokens reused_;
  // Of its spans from the first on, as far as they were needed; they outlive the blocks.
  std::vector<PageKey> keys_;
};

}  // namespace quire::cache
