// What of a sequence's pages lies off the device: KvCacheManager's part in swapping.
//
// A span that is full is copied to the host tier once: a prompt's at once, a few others together,
// and none later than its block is given to another. So swapping a preempted sequence out only
// gives its blocks back, and swapping in is a claim that finds its pages in the tree or there.

#include <algorithm>

#include "cache/kv_cache_manager.h"
#include "proto/check.h"

namespace quire::cache {

// The keys of the first `count` spans.
void KvCacheManager::extend_keys(SequenceBlocks& blocks, const CacheRoot& root,
                                 std::span<const TokenId> tokens, std::size_t count) const {
  for (std::size_t i = blocks.keys_.size(); i < count; ++i) {
    const PageKey before = i == 0 ? root_key(tier_context_, root) : blocks.keys_[i - 1];
    blocks.keys_.push_back(child_key(before, tokens.subspan(i * span_tokens(), span_tokens())));
  }
}

// The end of the spans from `first` on that are in host memory.
std::size_t KvCacheManager::host_end(const SequenceBlocks& blocks, std::span<const TokenId> tokens,
                                     std::size_t first, std::size_t last) const {
  const auto is_there = [&](std::size_t i) {
    const auto span = tokens.subspan(i * span_tokens(), span_tokens());
    return tiers_.ready(blocks.keys_[i], span) != kNoBlock;
  };
  while (first < last && is_there(first)) ++first;
  return first;
}

// Where the device's pages end, host memory may go on.
void KvCacheManager::extend_by_host(SequenceBlocks& blocks, const Claim& claim, Reuse& reuse) {
  const auto begin = static_cast<std::size_t>(reuse.hit.num_tokens) / span_tokens();
  const auto last = static_cast<std::size_t>(claim.max_reused) / span_tokens();
  if (begin >= last) return;
  extend_keys(blocks, claim.root, claim.tokens, last);
  const std::size_t end = host_end(blocks, claim.tokens, begin, last);
  if (end == begin) return;
  if (!tiers_.worth_reading(false)) {
    reuse.declined = true;
    return;
  }
  reuse.num_tokens = static_cast<std::int64_t>(end * span_tokens());
  reuse.num_read = static_cast<std::int64_t>((end - begin) * span_tokens());
  reuse.hit.partial = kNoNode;
  reuse.hit.num_partial_tokens = 0;
}

void KvCacheManager::take_from_host(SequenceBlocks& blocks, const Claim& claim,
                                    const Reuse& reuse) {
  const std::int64_t span = prefix_.span_tokens();
  for (std::int64_t begin = reuse.on_device(); begin < reuse.num_tokens; begin += span) {
    take_span_from_host(blocks, claim.tokens, begin);
  }
}

// Plans the copies of a span's pages into the blocks that the tables have for it.
void KvCacheManager::take_span_from_host(SequenceBlocks& blocks, std::span<const TokenId> tokens,
                                         std::int64_t begin) {
  const auto first = static_cast<std::size_t>(begin);
  const BlockId slot =
      tiers_.ready(blocks.keys_[first / span_tokens()], tokens.subspan(first, span_tokens()));
  tiers_.hold(slot);
  blocks.reused_[tiers_.take_source(slot)] += prefix_.span_tokens();
  slots_in_.push_back(slot);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const BlockTable& table = blocks.tables_[g];
    const auto base = first / static_cast<std::size_t>(groups_[g].block_size);
    for (std::int32_t i = 0; i < prefix_.pages_per_node(g); ++i) {
      const std::size_t at = base + static_cast<std::size_t>(i);
      if (at < table.first_) continue;  // out of the window
      copies_.push_back({.kind = CopyKind::kIn,
                         .group = static_cast<std::int32_t>(g),
                         .from = host_page(slot, g, i),
                         .to = table.blocks_[at]});
    }
  }
}

// Every page of the span is in the tables: none fell out of a window while it was computed.
bool KvCacheManager::holds_span(const SequenceBlocks& blocks, std::int64_t begin) const {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const std::int64_t base = begin / groups_[g].block_size;
    if (base < static_cast<std::int64_t>(blocks.tables_[g].first_)) return false;
  }
  return true;
}

// The span was committed: its pages are full, and never written again.
void KvCacheManager::keep_in_host(const SequenceBlocks& blocks, std::span<const TokenId> tokens,
                                  std::int64_t begin) {
  if (!holds_span(blocks, begin)) return;
  const auto first = static_cast<std::size_t>(begin);
  const BlockId slot =
      tiers_.keep(blocks.keys_[first / span_tokens()], tokens.subspan(first, span_tokens()));
  if (slot == kNoBlock) return;
  slots_out_.push_back(slot);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const auto base = first / static_cast<std::size_t>(groups_[g].block_size);
    for (std::int32_t i = 0; i < prefix_.pages_per_node(g); ++i) {
      copies_out_.push_back({.kind = CopyKind::kOut,
                             .group = static_cast<std::int32_t>(g),
                             .from = blocks.tables_[g].blocks_[base + static_cast<std::size_t>(i)],
                             .to = host_page(slot, g, i)});
    }
  }
}

// The span's pages are wrong, those that wait to go out too.
void KvCacheManager::drop_from_host(const SequenceBlocks& blocks, std::span<const TokenId> tokens,
                                    std::int64_t begin) {
  const auto first = static_cast<std::size_t>(begin);
  const PageKey& key = blocks.keys_[first / span_tokens()];
  const auto span = tokens.subspan(first, span_tokens());
  const BlockId slot = tiers_.host().find(key, span);
  const auto waits = std::ranges::find(slots_out_, slot);
  if (waits == slots_out_.end()) return tiers_.discard(key, span);
  const auto page = [this](BlockId id) {
    return static_cast<std::int32_t>(id) / prefix_.pages_per_node();
  };
  std::erase_if(copies_out_, [&](const BlockCopy& copy) {
    return page(copy.to) == static_cast<std::int32_t>(slot);
  });
  slots_out_.erase(waits);
  tiers_.lost(slot);
}

ReadTicket KvCacheManager::start_reads(SequenceBlocks& blocks, const Claim& claim) {
  if (!tiers_.has_lower()) return kNoTicket;
  const auto last = static_cast<std::size_t>(claim.max_reused) / span_tokens();
  const Reuse reuse = find_reuse(blocks, claim);
  auto first = static_cast<std::size_t>(reuse.num_tokens) / span_tokens();
  if (first >= last) return kNoTicket;
  extend_keys(blocks, claim.root, claim.tokens, last);
  first = host_end(blocks, claim.tokens, first, last);  // reading them was declined
  if (first >= last || !tiers_.worth_reading(true)) return kNoTicket;
  return tiers_.request(blocks.keys_, claim.tokens, first, last);
}

bool KvCacheManager::is_in_host(const SequenceBlocks& blocks) const {
  return blocks.num_held_ == 0 && !blocks.keys_.empty() &&
         tiers_.host().find(blocks.keys_.front()) != kNoBlock;
}

void KvCacheManager::preempt(SequenceBlocks& blocks) {
  const std::size_t count = static_cast<std::size_t>(blocks.num_committed_) / span_tokens();
  if (count > 0 && count <= blocks.keys_.size() &&
      tiers_.host().find(blocks.keys_[count - 1]) != kNoBlock) {
    ++tiers_.counters().swaps_out;
  }
  free(blocks);
}

}  // namespace quire::cache
