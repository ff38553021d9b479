#pragma once
// BlockTable: the blocks of one sequence in one group, in order of position.
//
// Belongs to its Sequence; only KvCacheManager changes it. Block i holds the tokens
// [i * block_size, (i + 1) * block_size). Destroying a table that still holds blocks is a broken
// invariant (checked): the manager frees them first.

#include <span>
#include <vector>

#include "proto/check.h"
#include "proto/types.h"

namespace quire::cache {

class BlockTable final {
 public:
  BlockTable() = default;
  BlockTable(BlockTable&& other) noexcept = default;
  BlockTable& operator=(BlockTable&& other) noexcept = default;
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;
  ~BlockTable() { CHECK(blocks_.empty()); }

  // Room for this many blocks, so that growing does not allocate.
  void reserve(std::size_t num_blocks) { blocks_.reserve(num_blocks); }
  [[nodiscard]] std::span<const BlockId> blocks() const { return blocks_; }
  [[nodiscard]] std::size_t size() const { return blocks_.size(); }

 private:
  friend class KvCacheManager;
  std::vector<BlockId> blocks_;
};

}  // namespace quire::cache
