// How a sequence gets its blocks when it starts: KvCacheManager::claim.
//
// It finds the longest beginning that is there already, writes its blocks into the tables as a
// proposal, and only then asks whether the pool can pay for it: all or nothing.

#include <algorithm>
#include <utility>

#include "cache/kv_cache_manager.h"
#include "proto/check.h"

namespace quire::cache {

std::optional<std::int32_t> KvCacheManager::claim(SequenceBlocks& blocks, const Claim& claim) {
  const std::optional<Reuse> proposed = propose_affordable(blocks, claim, num_free());
  if (!proposed) return std::nullopt;
  const Reuse& reuse = *proposed;
  const auto num_tokens = static_cast<std::int64_t>(claim.tokens.size());
  const std::int64_t promised = blocks_for(claim.promised_tokens);
  place_in_tree(blocks, reuse);  // first: new blocks may evict the node's pages
  take_proposed(blocks, reuse, num_tokens);
  blocks.reused_ = {};
  blocks.reused_[PageSource::kMemory] = static_cast<std::int32_t>(reuse.on_device());
  take_from_host(blocks, claim, reuse);
  std::int64_t num_held = 0;
  for (const BlockTable& table : blocks.tables_) {
    num_held += static_cast<std::int64_t>(table.num_held());
  }
  set_held(blocks, static_cast<std::int32_t>(num_held), static_cast<std::int32_t>(promised));
  count(claim, reuse);
  return static_cast<std::int32_t>(reuse.num_tokens);
}

bool KvCacheManager::could_claim(SequenceBlocks& blocks, const Claim& claim, std::int64_t more) {
  const bool could = propose_affordable(blocks, claim, num_free() + more).has_value();
  withdraw(blocks);
  return could;
}

// The proposal that so many free blocks can pay for, in the tables; nullopt, and empty tables,
// where there is none.
std::optional<KvCacheManager::Reuse> KvCacheManager::propose_affordable(SequenceBlocks& blocks,
                                                                        const Claim& claim,
                                                                        std::int64_t num_free) {
  CHECK_EQ(blocks.num_held_, 0);
  CHECK_LT(claim.max_reused, static_cast<std::int64_t>(claim.tokens.size()));
  if (num_free < 1) return std::nullopt;  // its last token needs a block that is not shared
  Reuse reuse = find_reuse(blocks, claim);
  propose(blocks, reuse);
  if (price_of_all(blocks, reuse, claim) <= num_free) return reuse;
  // The source of a copy is one block more than the sequence needs by itself.
  reuse = whole_spans(reuse);
  propose(blocks, reuse);
  if (price_of_all(blocks, reuse, claim) <= num_free) return reuse;
  withdraw(blocks);
  return std::nullopt;
}

void KvCacheManager::withdraw(SequenceBlocks& blocks) {
  for (BlockTable& table : blocks.tables_) table.blocks_.clear(), table.first_ = 0;
}

KvCacheManager::Reuse KvCacheManager::find_reuse(SequenceBlocks& blocks, const Claim& claim) {
  Reuse reuse;
  if (enable_prefix_caching_ && claim.max_reused > 0) {
    reuse.hit = prefix_.match(claim.root, claim.tokens, claim.max_reused);
    reuse.num_tokens = reuse.hit.num_tokens + reuse.hit.num_partial_tokens;
    if (tiers_.enabled()) extend_by_host(blocks, claim, reuse);
  }
  if (claim.leader == nullptr) return reuse;
  const std::int64_t reach =
      leader_reach(*claim.leader, std::min(claim.leader_tokens, claim.max_reused));
  if (reach <= reuse.num_tokens) return reuse;
  return {.num_tokens = reach, .hit = {}, .leader = claim.leader};
}

// `limit`, where the leader still has all that the next token attends to; else 0.
std::int64_t KvCacheManager::leader_reach(const SequenceBlocks& leader, std::int64_t limit) const {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const BlockTable& table = leader.tables_[g];
    const auto first = static_cast<std::int64_t>(table.first_);
    const auto end = static_cast<std::int64_t>(table.size());
    if (first > first_block(g, limit) || end < table_size(g, limit)) return 0;
  }
  return limit;
}

// Without what would have to be copied on write.
KvCacheManager::Reuse KvCacheManager::whole_spans(const Reuse& reuse) const {
  if (reuse.num_read > 0) return reuse;
  const std::int32_t span = prefix_.span_tokens();
  if (reuse.leader != nullptr) {
    const std::int64_t whole = leader_reach(*reuse.leader, reuse.num_tokens / span * span);
    return {.num_tokens = whole, .hit = {}, .leader = whole > 0 ? reuse.leader : nullptr};
  }
  return {.num_tokens = reuse.hit.num_tokens,
          .hit = {.node = reuse.hit.node, .num_tokens = reuse.hit.num_tokens}};
}

// Writes the blocks of the reused tokens into the tables, without a reference yet.
void KvCacheManager::propose(SequenceBlocks& blocks, const Reuse& reuse) const {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    BlockTable& table = blocks.tables_[g];
    table.first_ = static_cast<std::size_t>(first_block(g, reuse.num_tokens));
    const auto size = static_cast<std::size_t>(table_size(g, reuse.on_device()));
    table.blocks_.assign(std::max(size, table.first_), kNoBlock);
    if (reuse.leader == nullptr) continue;
    const auto from = reuse.leader->tables_[g].blocks();
    for (std::size_t i = table.first_; i < table.size(); ++i) table.blocks_[i] = from[i];
  }
  std::int64_t begin = reuse.hit.num_tokens;
  if (reuse.hit.partial != kNoNode) propose_node(blocks, reuse.hit.partial, begin);
  for (NodeId node = reuse.hit.node; begin > 0; node = prefix_.parent(node)) {
    begin -= prefix_.span_tokens();
    propose_node(blocks, node, begin);
  }
}

// Whole spans are shared: the table's blocks before this one. Those after it are copied, all of
// them, so that the sequence's own node will have pages of its own.
std::size_t KvCacheManager::shared_end(const BlockTable& table, std::size_t group,
                                       const Reuse& reuse) const {
  const std::int64_t spans = reuse.on_device() / prefix_.span_tokens();
  return std::max(table.first_, static_cast<std::size_t>(spans * prefix_.pages_per_node(group)));
}

// The pages of a node whose first token stands at position `begin`.
void KvCacheManager::propose_node(SequenceBlocks& blocks, NodeId node, std::int64_t begin) const {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    BlockTable& table = blocks.tables_[g];
    const auto base = static_cast<std::size_t>(begin / groups_[g].block_size);
    for (std::int32_t i = 0; i < prefix_.pages_per_node(g); ++i) {
      const std::size_t at = base + static_cast<std::size_t>(i);
      if (at >= table.first_ && at < table.size()) table.blocks_[at] = prefix_.page(node, g, i);
    }
  }
}

// Free blocks that the proposal takes, those of the promise among them.
std::int64_t KvCacheManager::price_of_all(const SequenceBlocks& blocks, const Reuse& reuse,
                                          const Claim& claim) const {
  const auto num_tokens = static_cast<std::int64_t>(claim.tokens.size());
  std::int64_t price = 0, held = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const BlockTable& table = blocks.tables_[g];
    for (std::size_t i = table.first_; i < table.size(); ++i)
      price += price_of(g, table.blocks_[i]);
    const auto first = static_cast<std::int64_t>(table.first_);
    const std::int64_t end = end_block(g, first, num_tokens);
    price += end - static_cast<std::int64_t>(shared_end(table, g, reuse));
    held += end - first;
  }
  return price + std::max<std::int64_t>(0, blocks_for(claim.promised_tokens) - held);
}

void KvCacheManager::take_proposed(SequenceBlocks& blocks, const Reuse& reuse,
                                   std::int64_t num_tokens) {
  // All that is reused first: a new block must not be one of them.
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const BlockTable& table = blocks.tables_[g];
    for (std::size_t i = table.first_; i < table.size(); ++i) take(g, table.blocks_[i]);
  }
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    BlockTable& table = blocks.tables_[g];
    for (std::size_t i = shared_end(table, g, reuse); i < table.size(); ++i) {
      const BlockId source = std::exchange(table.blocks_[i], take_new());
      copies_.push_back(
          {.group = static_cast<std::int32_t>(g), .from = source, .to = table.blocks_[i]});
      ++stats_.copies;
    }
    grow(blocks, g, end_block(g, static_cast<std::int64_t>(table.first_), num_tokens));
  }
}

// Where the reused tokens stand in the tree, so that commit() goes on from there.
void KvCacheManager::place_in_tree(SequenceBlocks& blocks, const Reuse& reuse) {
  NodeId node = reuse.hit.node;
  std::int64_t depth = reuse.hit.num_tokens;
  if (reuse.leader != nullptr) {
    node = reuse.leader->node_;
    depth = reuse.leader->num_committed_;
    for (; depth > reuse.num_tokens; depth -= prefix_.span_tokens()) node = prefix_.parent(node);
  }
  blocks.num_committed_ = static_cast<std::int32_t>(depth);
  descend(blocks, node);
}

void KvCacheManager::count(const Claim& claim, const Reuse& reuse) {
  stats_.queried_tokens += claim.max_reused;
  stats_.hit_tokens += reuse.num_tokens;
  TierStats& tiers = tiers_.counters();
  if (reuse.declined) ++tiers.declined;
  if (claim.readmission && reuse.num_read > 0) {
    ++tiers.swaps_in;
  } else if (claim.readmission && reuse.num_tokens + prefix_.span_tokens() <= claim.max_reused) {
    ++tiers.recomputes;
  }
  if (reuse.num_tokens == 0) return;
  ++(reuse.leader != nullptr ? stats_.forks : stats_.hits);
  if (reuse.hit.partial != kNoNode) ++stats_.partial_hits;
}

}  // namespace quire::cache
