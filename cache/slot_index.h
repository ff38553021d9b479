#pragma once
// SlotIndex: which slot of host memory, or of the file on disk, holds the pages of which span of
// tokens.
//
// A slot is as large as all pages of one node of the prefix tree. Ids only: what is behind them is
// engine/tiers'. One owner; no lock. A slot is
//   empty      without a key; taken before any other
//   coming     it has a key, and its pages are on their way; held by who brings them
//   ready      found by its key; evicted least recently used first, unless somebody holds it
// 1. A key is in at most one slot.
// 2. What is held is not evicted: a copy in flight is never reused.
// 3. A dirty slot is ready and has not been offered to a lower tier; the oldest is offered first.
// Cost: O(1) expected; allocates nothing after construction.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cache/block_pool.h"
#include "cache/page_key.h"

namespace quire::cache {

class SlotIndex final {
 public:
  // num_slots 0: there is none, and nothing is ever found.
  SlotIndex(std::int32_t num_slots, std::int32_t span_tokens);
  ~SlotIndex();
  SlotIndex(const SlotIndex&) = delete;
  SlotIndex& operator=(const SlotIndex&) = delete;

  [[nodiscard]] std::int32_t num_slots() const { return num_slots_; }
  // The slot with this key, coming or ready; kNoBlock where there is none.
  [[nodiscard]] BlockId find(const PageKey& key, std::span<const TokenId> tokens) const;
  // The same, where the tokens are compared later.
  [[nodiscard]] BlockId find(const PageKey& key) const;
  [[nodiscard]] bool is_ready(BlockId slot) const { return at(slot).state == State::kReady; }
  // A slot for pages that will come, held once; kNoBlock where all are held. Invariant: the key is
  // in no slot.
  [[nodiscard]] BlockId take(const PageKey& key, std::span<const TokenId> tokens);
  // The pages have come, or they will not. Both end the hold of take().
  void arrived(BlockId slot, bool dirty);
  void failed(BlockId slot);

  // The slot was found to hold these pages (a file from before a restart): ready, and the last to
  // be evicted. Invariants: it is empty, and the key is in no slot.
  void restore(BlockId slot, const PageKey& key, std::span<const TokenId> tokens);
  // Its pages turned out to be wrong: it is empty, though who reads it now may hold it a while.
  // Invariant: it is ready.
  void discard(BlockId slot);

  void hold(BlockId slot) { pool_->add_ref(slot); }
  void release(BlockId slot) { pool_->release(slot); }
  [[nodiscard]] std::int64_t num_holds() const { return pool_ ? pool_->num_references() : 0; }
  // It is the last to be evicted now.
  void touch(BlockId slot);

  // The slot that has waited longest to be written to a lower tier; kNoBlock: none waits.
  [[nodiscard]] BlockId first_dirty() const { return dirty_first_; }
  void set_clean(BlockId slot);

  [[nodiscard]] const PageKey& key(BlockId slot) const { return at(slot).key; }
  [[nodiscard]] std::span<const TokenId> tokens(BlockId slot) const;
  [[nodiscard]] std::int32_t num_used() const { return num_used_; }
  [[nodiscard]] std::int64_t num_evicted() const { return num_evicted_; }
  // Of these, evicted before they could be written below.
  [[nodiscard]] std::int64_t num_evicted_dirty() const { return num_evicted_dirty_; }
  void check_invariants() const;

 private:
  enum class State : std::uint8_t { kEmpty, kComing, kReady };
  struct Slot {
    PageKey key;
    State state = State::kEmpty;
    bool dirty = false;
    BlockId next_in_bucket = kNoBlock;
    BlockId dirty_next = kNoBlock;
    BlockId dirty_previous = kNoBlock;
  };
  [[nodiscard]] Slot& at(BlockId slot) { return slots_[static_cast<std::size_t>(slot)]; }
  [[nodiscard]] const Slot& at(BlockId slot) const {
    return slots_[static_cast<std::size_t>(slot)];
  }
  [[nodiscard]] std::size_t bucket(const PageKey& key) const {
    return static_cast<std::size_t>(key.words[0]) & (buckets_.size() - 1);
  }
  void put(BlockId slot, const PageKey& key, std::span<const TokenId> tokens);
  void forget(BlockId slot);
  void set_dirty(BlockId slot);

  std::int32_t num_slots_;
  std::int32_t span_;
  std::optional<BlockPool> pool_;  // of slots: who holds them, and the order of eviction
  std::vector<Slot> slots_;
  std::vector<TokenId> tokens_;  // [slot][span]
  std::vector<BlockId> buckets_;
  BlockId dirty_first_ = kNoBlock, dirty_last_ = kNoBlock;
  std::int32_t num_used_ = 0;
  std::int64_t num_evicted_ = 0;
  std::int64_t num_evicted_dirty_ = 0;
};

}  // namespace quire::cache
