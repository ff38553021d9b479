#include "cache/block_pool.h"

#include <limits>

#include "proto/check.h"

namespace quire::cache {

BlockPool::BlockPool(std::int32_t num_blocks) : sentinel_(num_blocks), num_free_(num_blocks) {
  CHECK_GE(num_blocks, 1);
  CHECK_LT(num_blocks, std::numeric_limits<std::int32_t>::max());
  const std::int32_t num_nodes = num_blocks + 1;
  blocks_.resize(static_cast<std::size_t>(num_nodes));
  for (std::int32_t i = 0; i < num_nodes; ++i) {
    blocks_[i].previous = i == 0 ? sentinel_ : i - 1;
    blocks_[i].next = i == sentinel_ ? 0 : i + 1;
  }
}

BlockPool::~BlockPool() { CHECK_EQ(num_free_, num_blocks()); }

std::optional<BlockId> BlockPool::allocate() {
  if (num_free_ == 0) return std::nullopt;
  const BlockId id{blocks_[sentinel_].next};
  add_ref(id);
  return id;
}

void BlockPool::add_ref(BlockId id) {
  Block& block = blocks_[index(id)];
  if (block.ref_count == 0) unlink(block);
  ++block.ref_count;
  block.changed_at = now_;
}

void BlockPool::release(BlockId id, std::int32_t neighbour) {
  Block& block = blocks_[index(id)];
  CHECK_GT(block.ref_count, 0);
  --block.ref_count;
  block.changed_at = now_;
  if (block.ref_count == 0) link_after(neighbour, static_cast<std::int32_t>(id));
}

std::size_t BlockPool::index(BlockId id) const {
  const auto value = static_cast<std::int32_t>(id);
  CHECK_GE(value, 0);
  CHECK_LT(value, sentinel_);
  return static_cast<std::size_t>(value);
}

void BlockPool::unlink(Block& block) {
  blocks_[block.previous].next = block.next;
  blocks_[block.next].previous = block.previous;
  --num_free_;
}

void BlockPool::link_after(std::int32_t neighbour, std::int32_t block) {
  const std::int32_t next = blocks_[neighbour].next;
  blocks_[block].previous = neighbour;
  blocks_[block].next = next;
  blocks_[neighbour].next = block;
  blocks_[next].previous = block;
  ++num_free_;
}

std::int64_t BlockPool::num_references() const {
  std::int64_t sum = 0;
  for (std::int32_t i = 0; i < num_blocks(); ++i) sum += blocks_[i].ref_count;
  return sum;
}

void BlockPool::check_invariants() const {
  std::int32_t unreferenced = 0;
  for (std::int32_t i = 0; i < num_blocks(); ++i) {
    CHECK_GE(blocks_[i].ref_count, 0);
    if (blocks_[i].ref_count == 0) ++unreferenced;
  }
  CHECK_EQ(unreferenced, num_free_);

  // As many steps along the list as blocks are free, over free blocks only, end at the sentinel.
  std::int32_t at = sentinel_;
  for (std::int32_t step = 0; step <= num_free_; ++step) {
    const std::int32_t next = blocks_[at].next;
    CHECK_EQ(blocks_[next].previous, at);
    CHECK(next == sentinel_ ? step == num_free_ : blocks_[next].ref_count == 0);
    at = next;
  }
}

}  // namespace quire::cache
