#include "cache/slot_index.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "proto/check.h"

namespace quire::cache {

SlotIndex::SlotIndex(std::int32_t num_slots, std::int32_t span_tokens)
    : num_slots_(num_slots), span_(span_tokens) {
  CHECK_GE(num_slots, 0);
  if (num_slots == 0) return;
  pool_.emplace(num_slots);
  slots_.resize(static_cast<std::size_t>(num_slots));
  tokens_.resize(slots_.size() * static_cast<std::size_t>(span_));
  buckets_.resize(std::bit_ceil(2 * slots_.size()), kNoBlock);
}

// Who is still bringing pages is gone: the engine stops its tier thread first.
SlotIndex::~SlotIndex() {
  for (std::int32_t i = 0; i < num_slots_; ++i) {
    while (pool_->ref_count(BlockId{i}) > 0) pool_->release(BlockId{i});
  }
}

std::span<const TokenId> SlotIndex::tokens(BlockId slot) const {
  const auto size = static_cast<std::size_t>(span_);
  return std::span(tokens_).subspan(static_cast<std::size_t>(slot) * size, size);
}

BlockId SlotIndex::find(const PageKey& key) const {
  if (num_slots_ == 0) return kNoBlock;
  BlockId slot = buckets_[bucket(key)];
  while (slot != kNoBlock && at(slot).key != key) slot = at(slot).next_in_bucket;
  return slot;
}

BlockId SlotIndex::find(const PageKey& key, std::span<const TokenId> wanted) const {
  const BlockId slot = find(key);
  if (slot != kNoBlock && !std::ranges::equal(tokens(slot), wanted)) return kNoBlock;
  return slot;
}

BlockId SlotIndex::take(const PageKey& key, std::span<const TokenId> of) {
  if (num_slots_ == 0) return kNoBlock;
  const std::optional<BlockId> slot = pool_->allocate();
  if (!slot) return kNoBlock;
  if (at(*slot).state != State::kEmpty) {
    ++num_evicted_;
    if (at(*slot).dirty) ++num_evicted_dirty_;
    forget(*slot);
  }
  put(*slot, key, of);
  return *slot;
}

void SlotIndex::put(BlockId slot, const PageKey& key, std::span<const TokenId> of) {
  CHECK_EQ(of.size(), static_cast<std::size_t>(span_));
  ++num_used_;
  BlockId& first = buckets_[bucket(key)];
  at(slot) = {.key = key, .state = State::kComing, .next_in_bucket = std::exchange(first, slot)};
  std::ranges::copy(of, tokens_.begin() + static_cast<std::ptrdiff_t>(slot) * span_);
}

void SlotIndex::restore(BlockId slot, const PageKey& key, std::span<const TokenId> of) {
  CHECK(at(slot).state == State::kEmpty);
  pool_->add_ref(slot);
  put(slot, key, of);
  arrived(slot, false);
}

void SlotIndex::discard(BlockId slot) {
  CHECK(at(slot).state == State::kReady);
  pool_->add_ref(slot);
  forget(slot);
  pool_->release_to_front(slot);
}

void SlotIndex::arrived(BlockId slot, bool dirty) {
  CHECK(at(slot).state == State::kComing);
  at(slot).state = State::kReady;
  if (dirty) set_dirty(slot);
  pool_->release(slot);
}

void SlotIndex::failed(BlockId slot) {
  CHECK(at(slot).state == State::kComing);
  forget(slot);
  pool_->release_to_front(slot);
}

void SlotIndex::touch(BlockId slot) {
  pool_->add_ref(slot);
  pool_->release(slot);
}

// Its key leads nowhere from now on.
void SlotIndex::forget(BlockId slot) {
  if (at(slot).dirty) set_clean(slot);
  BlockId* link = &buckets_[bucket(at(slot).key)];
  while (*link != slot) link = &at(*link).next_in_bucket;
  *link = at(slot).next_in_bucket;
  at(slot) = {};
  --num_used_;
}

void SlotIndex::set_dirty(BlockId slot) {
  at(slot).dirty = true;
  at(slot).dirty_previous = dirty_last_;
  (dirty_last_ == kNoBlock ? dirty_first_ : at(dirty_last_).dirty_next) = slot;
  dirty_last_ = slot;
}

void SlotIndex::set_clean(BlockId slot) {
  Slot& s = at(slot);
  CHECK(s.dirty);
  (s.dirty_previous == kNoBlock ? dirty_first_ : at(s.dirty_previous).dirty_next) = s.dirty_next;
  (s.dirty_next == kNoBlock ? dirty_last_ : at(s.dirty_next).dirty_previous) = s.dirty_previous;
  s.dirty = false;
  s.dirty_next = s.dirty_previous = kNoBlock;
}

void SlotIndex::check_invariants() const {
  if (num_slots_ == 0) return;
  pool_->check_invariants();
  std::int32_t used = 0, dirty = 0, listed = 0;
  for (std::int32_t i = 0; i < num_slots_; ++i) {
    const BlockId slot{i};
    if (at(slot).state == State::kEmpty) continue;
    ++used;
    if (at(slot).dirty) ++dirty;
    CHECK(at(slot).state == State::kReady || (!at(slot).dirty && pool_->ref_count(slot) > 0));
    CHECK(find(at(slot).key, tokens(slot)) == slot);
  }
  for (BlockId slot = dirty_first_; slot != kNoBlock; slot = at(slot).dirty_next) ++listed;
  CHECK_EQ(used, num_used_);
  CHECK_EQ(dirty, listed);
}

}  // namespace quire::cache
