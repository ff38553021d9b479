#include "cache/kv_cache_manager.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "proto/check.h"

namespace quire::cache {
namespace {

std::vector<GroupShape> shapes_of(const KvCacheSpec& spec) {
  std::vector<GroupShape> shapes;
  for (const KvGroupSpec& group : spec.groups) {
    CHECK_GE(group.block_size, 1);
    const bool slides = group.kind == AttentionKind::kSlidingWindow;
    shapes.push_back({.block_size = group.block_size, .window = slides ? group.window : kNoWindow});
  }
  return shapes;
}

}  // namespace

KvCacheManager::KvCacheManager(const CacheOptions& options, KvCacheSpec spec)
    : spec_(std::move(spec)),
      enable_prefix_caching_(options.enable_prefix_caching),
      pool_(options.num_blocks),
      prefix_(options, shapes_of(spec_)) {
  CHECK_GE(options.max_step_tokens, 1);
  for (const GroupShape& shape : shapes_of(spec_)) {
    // Whatever its first block, so many reach over the window and a step.
    const std::int64_t reach = shape.window - 1 + options.max_step_tokens;
    const std::int64_t most = (reach + shape.block_size - 1) / shape.block_size + 1;
    groups_.push_back({.block_size = shape.block_size,
                       .window = shape.window,
                       .most_held = shape.window == kNoWindow ? kNoWindow : most});
  }
  // Each copy has a source and a block of its own.
  copies_.reserve(static_cast<std::size_t>(options.num_blocks));
}

std::int64_t KvCacheManager::table_size(std::size_t group, std::int64_t num_tokens) const {
  const std::int64_t size = groups_[group].block_size;
  // The narrow division takes a fraction of the wide one's time, and each row needs one.
  if (num_tokens < std::numeric_limits<std::int32_t>::max() - size) {
    return static_cast<std::uint32_t>(num_tokens + size - 1) / static_cast<std::uint32_t>(size);
  }
  return (num_tokens + size - 1) / size;
}

std::int64_t KvCacheManager::blocks_for(std::int64_t num_tokens) const {
  std::int64_t sum = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) sum += end_block(g, 0, num_tokens);
  return sum;
}

std::int64_t KvCacheManager::max_tokens() const {
  std::int64_t fits = 0, too_many = std::int64_t{1} << 40;
  while (too_many - fits > 1) {
    const std::int64_t middle = fits + (too_many - fits) / 2;
    (blocks_for(middle) <= pool_.num_blocks() ? fits : too_many) = middle;
  }
  return fits;
}

void KvCacheManager::make_room_in(SequenceBlocks& blocks, std::int64_t num_tokens) const {
  blocks.tables_.resize(groups_.size());
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    blocks.tables_[g].blocks_.reserve(static_cast<std::size_t>(table_size(g, num_tokens)));
  }
}

std::int64_t KvCacheManager::first_block(std::size_t group, std::int64_t num_computed) const {
  const std::int64_t first_token = num_computed - groups_[group].window + 1;
  return std::max<std::int64_t>(0, first_token) / groups_[group].block_size;
}

// The end of a table that begins at block `first`: all of it, or as much as a window needs at once.
std::int64_t KvCacheManager::end_block(std::size_t group, std::int64_t first,
                                       std::int64_t num_tokens) const {
  return std::min(table_size(group, num_tokens), first + groups_[group].most_held);
}

// ---- claim --------------------------------------------------------------------------------------

std::optional<std::int32_t> KvCacheManager::claim(SequenceBlocks& blocks, const Claim& claim) {
  CHECK_EQ(blocks.num_held_, 0);
  CHECK_LT(claim.max_reused, static_cast<std::int64_t>(claim.tokens.size()));
  if (num_free() < 1) return std::nullopt;  // its last token needs a block that is not shared
  const auto num_tokens = static_cast<std::int64_t>(claim.tokens.size());
  const std::int64_t promised = blocks_for(claim.promised_tokens);

  Reuse reuse = find_reuse(claim);
  propose(blocks, reuse);
  if (!affordable(blocks, reuse, num_tokens, promised)) {
    // The source of a copy is one block more than the sequence needs by itself.
    reuse = whole_spans(reuse);
    propose(blocks, reuse);
    if (!affordable(blocks, reuse, num_tokens, promised)) {
      for (BlockTable& table : blocks.tables_) table.blocks_.clear(), table.first_ = 0;
      return std::nullopt;
    }
  }
  place_in_tree(blocks, reuse);  // first: new blocks may evict the node's pages
  take_proposed(blocks, reuse, num_tokens);
  std::int64_t num_held = 0;
  for (const BlockTable& table : blocks.tables_) {
    num_held += static_cast<std::int64_t>(table.num_held());
  }
  set_held(blocks, static_cast<std::int32_t>(num_held), static_cast<std::int32_t>(promised));
  count(claim, reuse);
  return static_cast<std::int32_t>(reuse.num_tokens);
}

KvCacheManager::Reuse KvCacheManager::find_reuse(const Claim& claim) const {
  Reuse reuse;
  if (enable_prefix_caching_ && claim.max_reused > 0) {
    reuse.hit = prefix_.match(claim.root, claim.tokens, claim.max_reused);
    reuse.num_tokens = reuse.hit.num_tokens + reuse.hit.num_partial_tokens;
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

// Without what would have to be copied.
KvCacheManager::Reuse KvCacheManager::whole_spans(const Reuse& reuse) const {
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
    table.blocks_.assign(static_cast<std::size_t>(table_size(g, reuse.num_tokens)), kNoBlock);
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
  const std::int64_t spans = reuse.num_tokens / prefix_.span_tokens();
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

bool KvCacheManager::affordable(const SequenceBlocks& blocks, const Reuse& reuse,
                                std::int64_t num_tokens, std::int64_t promised) const {
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
  return price + std::max<std::int64_t>(0, promised - held) <= num_free();
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
  if (reuse.num_tokens == 0) return;
  ++(reuse.leader != nullptr ? stats_.forks : stats_.hits);
  if (reuse.hit.partial != kNoNode) ++stats_.partial_hits;
}

// ---- growing, committing, giving back -----------------------------------------------------------

// Nothing is to be gained or given back: so it is in all but one of block_size steps, hence by
// products and not by quotients.
bool KvCacheManager::has_slots(const SequenceBlocks& blocks, std::int64_t num_computed,
                               std::int64_t num_tokens) const {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const BlockTable& table = blocks.tables_[g];
    const std::int64_t size = groups_[g].block_size;
    const auto end = static_cast<std::int64_t>(table.size()) * size;
    const auto second = static_cast<std::int64_t>(table.first_ + 1) * size;
    if (num_tokens > end || num_computed - groups_[g].window + 1 >= second) return false;
  }
  return true;
}

bool KvCacheManager::allocate_slots(SequenceBlocks& blocks, std::int64_t num_computed,
                                    std::int64_t num_tokens) {
  if (has_slots(blocks, num_computed, num_tokens)) return true;
  std::int64_t gained = 0, lost = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const BlockTable& table = blocks.tables_[g];
    const std::int64_t first = first_block(g, num_computed);
    const auto size = static_cast<std::int64_t>(table.size());
    lost += first - static_cast<std::int64_t>(table.first_);
    gained += std::max<std::int64_t>(0, end_block(g, first, num_tokens) - size);
  }
  if (gained == 0 && lost == 0) return true;
  const auto held = static_cast<std::int32_t>(blocks.num_held_ + gained - lost);
  const std::int32_t reserved = std::max(0, blocks.num_promised_ - held);
  if (gained - lost + reserved - blocks.num_reserved() > num_free()) return false;
  for (std::size_t g = 0; g < groups_.size(); ++g) shrink(blocks, g, first_block(g, num_computed));
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    grow(blocks, g, end_block(g, first_block(g, num_computed), num_tokens));
  }
  set_held(blocks, held, blocks.num_promised_);
  return true;
}

void KvCacheManager::commit(SequenceBlocks& blocks, const CacheRoot& root,
                            std::span<const TokenId> tokens, std::int64_t num_computed) {
  if (!enable_prefix_caching_) return;
  const std::int32_t span = prefix_.span_tokens();
  if (blocks.node_ == kNoNode && span <= num_computed) descend(blocks, prefix_.root(root));
  while (blocks.num_committed_ + span <= num_computed && blocks.node_ != kNoNode) {
    const auto begin = static_cast<std::size_t>(blocks.num_committed_);
    const NodeId node =
        prefix_.child(blocks.node_, tokens.subspan(begin, static_cast<std::size_t>(span)));
    if (node == kNoNode) return;  // the tree is full
    descend(blocks, node);
    commit_node(blocks, static_cast<std::int64_t>(begin));
    blocks.num_committed_ += span;
  }
}

// The sequence stands at `node` now, which stays as long as it does.
void KvCacheManager::descend(SequenceBlocks& blocks, NodeId node) {
  if (node != kNoNode) prefix_.pin(node);
  if (blocks.node_ != kNoNode) prefix_.unpin(blocks.node_);
  blocks.node_ = node;
}

// The pages of the node where the sequence stands, whose first token has the position `begin`.
void KvCacheManager::commit_node(SequenceBlocks& blocks, std::int64_t begin) {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    BlockTable& table = blocks.tables_[g];
    const auto base = static_cast<std::size_t>(begin / groups_[g].block_size);
    for (std::int32_t i = 0; i < prefix_.pages_per_node(g); ++i) {
      const std::size_t at = base + static_cast<std::size_t>(i);
      if (at >= table.first_) commit_page(table.blocks_[at], blocks.node_, g, i);
    }
  }
}

// The entry becomes the node's page; where the node has one, the entry becomes that: two sequences
// computed the same at the same time, and one block is enough.
void KvCacheManager::commit_page(BlockId& entry, NodeId node, std::size_t group, std::int32_t i) {
  const BlockId page = prefix_.page(node, group, i);
  if (page == entry) return;
  if (page != kNoBlock) {
    const BlockId own = std::exchange(entry, page);
    give_back(group, own);
    take(group, page);
    ++stats_.joined_blocks;
    return;
  }
  prefix_.put_page(node, group, i, entry);
}

void KvCacheManager::free(SequenceBlocks& blocks) {
  // Tail first, over all groups: the head of a prompt is the likeliest to be asked for again, and a
  // hit needs it in every group.
  for (std::int32_t left = blocks.num_held_; left > 0; --left) {
    std::size_t last = 0;
    std::int64_t last_token = -1;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const BlockTable& table = blocks.tables_[g];
      const std::int64_t token =
          (static_cast<std::int64_t>(table.size()) - 1) * groups_[g].block_size;
      if (table.num_held() == 0 || token <= last_token) continue;
      last = g;
      last_token = token;
    }
    give_back(last, blocks.tables_[last].blocks_.back());
    blocks.tables_[last].blocks_.pop_back();
    --table_entries_;
  }
  for (BlockTable& table : blocks.tables_) table.blocks_.clear(), table.first_ = 0;
  reserved_ -= blocks.num_reserved();
  blocks.num_held_ = 0;
  blocks.num_promised_ = 0;
  descend(blocks, kNoNode);
  blocks.num_committed_ = 0;
}

void KvCacheManager::evict(BlockId block) {
  if (pool_.ref_count(block) > 0 || !prefix_.holds(block)) return;
  ++stats_.evictions;
  prefix_.forget(block);
}

std::size_t KvCacheManager::max_copies() const {
  std::size_t sum = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    sum += static_cast<std::size_t>(prefix_.pages_per_node(g));
  }
  return sum;
}

void KvCacheManager::finish_copies() {
  for (const BlockCopy& copy : copies_) {
    give_back(static_cast<std::size_t>(copy.group), copy.from);
  }
  copies_.clear();
}

// ---- one block ----------------------------------------------------------------------------------

BlockId KvCacheManager::take_new() {
  const BlockId block = pool_.allocate().value();
  if (prefix_.holds(block)) ++stats_.evictions;
  prefix_.forget(block);
  return block;
}

void KvCacheManager::take(std::size_t group, BlockId block) {
  if (has_window(group) && pool_.ref_count(block) > 0) ++shared_debt_;
  pool_.add_ref(block);
}

void KvCacheManager::give_back(std::size_t group, BlockId block) {
  if (has_window(group) && pool_.ref_count(block) > 1) --shared_debt_;
  prefix_.holds(block) ? pool_.release(block) : pool_.release_to_front(block);
}

// Free blocks that one more reference costs.
std::int32_t KvCacheManager::price_of(std::size_t group, BlockId block) const {
  return has_window(group) || pool_.ref_count(block) == 0 ? 1 : 0;
}

void KvCacheManager::grow(SequenceBlocks& blocks, std::size_t group, std::int64_t end) {
  BlockTable& table = blocks.tables_[group];
  while (static_cast<std::int64_t>(table.size()) < end) table.blocks_.push_back(take_new());
}

void KvCacheManager::shrink(SequenceBlocks& blocks, std::size_t group, std::int64_t first) {
  BlockTable& table = blocks.tables_[group];
  for (; static_cast<std::int64_t>(table.first_) < first; ++table.first_) {
    give_back(group, std::exchange(table.blocks_[table.first_], kNoBlock));
  }
}

void KvCacheManager::set_held(SequenceBlocks& blocks, std::int32_t num_held,
                              std::int32_t num_promised) {
  table_entries_ += num_held - blocks.num_held_;
  reserved_ -= blocks.num_reserved();
  blocks.num_held_ = num_held;
  blocks.num_promised_ = num_promised;
  reserved_ += blocks.num_reserved();
}

CacheUsage KvCacheManager::usage() const {
  return {.total_blocks = pool_.num_blocks(),
          .free_blocks = num_free(),
          .reserved_blocks = reserved_,
          .shared_debt = shared_debt_,
          .cached_blocks = prefix_.num_pages()};
}

void KvCacheManager::check_invariants() const {
  pool_.check_invariants();
  prefix_.check_invariants();
  CHECK_EQ(pool_.num_references(), table_entries_ + static_cast<std::int64_t>(copies_.size()));
  CHECK_GE(reserved_, 0);
  CHECK_GE(shared_debt_, 0);
  CHECK_GE(num_free(), 0);
}

}  // namespace quire::cache
