#pragma once
// BlockPool: which blocks are free, and how many tables hold each of the others.
//
// Owns ids, not memory. One owner: the engine thread; no lock.
//
// The free list is doubly linked through one flat array and its order is the eviction order:
//
//   blocks_[0 .. num_blocks - 1]   the blocks
//   blocks_[num_blocks]            the sentinel: both ends of the circular list, so that neither
//                                  linking nor unlinking has a case for an empty list or an end
//
//   sentinel -> evicted first -> ... -> evicted last -> sentinel
//
// 1. A block is on the free list exactly when its ref_count is 0.
// 2. A released block goes to the back (what was released first is reused first), or to the front
//    where its content is of no use to anybody.
// 3. The destructor proves that every block came back.
// Cost: O(1) for everything but construction and check_invariants; no memory is allocated after
// construction.

#include <cstdint>
#include <optional>
#include <vector>

#include "cache/block.h"
#include "proto/types.h"

namespace quire::cache {

class BlockPool final {
 public:
  // Invariant: num_blocks >= 1. Blocks are handed out in the order of their ids at first.
  explicit BlockPool(std::int32_t num_blocks);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // The block that is evicted first, now with one reference; nullopt where none is free.
  [[nodiscard]] std::optional<BlockId> allocate();
  // One more reference. A free block leaves the list: its content is taken up again.
  void add_ref(BlockId id);
  // One reference less; the last one puts the block at the back of the free list, or, where its
  // content is not worth keeping, at the front. Invariant: the block is held.
  void release(BlockId id) { release(id, blocks_[static_cast<std::size_t>(sentinel_)].previous); }
  void release_to_front(BlockId id) { release(id, sentinel_); }

  // What taking and giving back note from now on.
  void set_now(std::uint32_t now) { now_ = now; }

  [[nodiscard]] std::int32_t num_blocks() const { return sentinel_; }
  [[nodiscard]] std::int32_t num_free() const { return num_free_; }
  [[nodiscard]] std::int32_t ref_count(BlockId id) const { return blocks_[index(id)].ref_count; }
  [[nodiscard]] std::uint32_t changed_at(BlockId id) const { return blocks_[index(id)].changed_at; }
  // The sum of all reference counts. O(num_blocks).
  [[nodiscard]] std::int64_t num_references() const;
  // Aborts the process if the list or a count is wrong. O(num_blocks).
  void check_invariants() const;

 private:
  // Invariant: the id is one of the pool's.
  [[nodiscard]] std::size_t index(BlockId id) const;
  void unlink(Block& block);
  void link_after(std::int32_t neighbour, std::int32_t block);
  void release(BlockId id, std::int32_t neighbour);

  std::vector<Block> blocks_;
  std::int32_t sentinel_;
  std::int32_t num_free_;
  std::uint32_t now_ = 0;
};

}  // namespace quire::cache
