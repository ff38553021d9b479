#pragma once
// BlockTable: the blocks of one sequence in one group, in order of position.
//
// Belongs to a SequenceBlocks; only KvCacheManager changes it.
// 1. Block i holds the tokens [i * block_size, (i + 1) * block_size).
// 2. Those before first() have left the group's window and were given back: they are kNoBlock, so
//    that an index is a position in every group.

#include <span>
#include <vector>

#include "proto/types.h"

namespace quire::cache {

class BlockTable final {
 public:
  [[nodiscard]] std::span<const BlockId> blocks() const { return blocks_; }
  [[nodiscard]] std::size_t size() const { return blocks_.size(); }
  [[nodiscard]] std::size_t first() const { return first_; }
  // Those that it holds.
  [[nodiscard]] std::size_t num_held() const { return blocks_.size() - first_; }

 private:
  friend class KvCacheManager;
  std::vector<BlockId> blocks_;
  std::size_t first_ = 0;
};

}  // namespace quire::cache
