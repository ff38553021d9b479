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

KvCacheManager::KvCacheManager(const CacheOptions& options, KvCacheSpec spec, LowerTier* lower)
    : spec_(std::move(spec)),
      enable_prefix_caching_(options.enable_prefix_caching),
      pool_(options.num_blocks),
      prefix_(options, shapes_of(spec_)),
      tiers_(enable_prefix_caching_ ? options.num_host_slots : 0, prefix_.span_tokens(),
             options.read_policy, lower),
      tier_context_{options.tier_context} {
  CHECK_GE(options.max_step_tokens, 1);
  for (const GroupShape& shape : shapes_of(spec_)) {
    // Whatever its first block, so many reach over the window and a step.
    const std::int64_t reach = shape.window - 1 + options.max_step_tokens;
    const std::int64_t most = (reach + shape.block_size - 1) / shape.block_size + 1;
    groups_.push_back({.block_size = shape.block_size,
                       .window = shape.window,
                       .most_held = shape.window == kNoWindow ? kNoWindow : most});
  }
  // Each copy has a block of its own that it reads (out) or writes.
  copies_.reserve(static_cast<std::size_t>(options.num_blocks));
  copies_out_.reserve(max_tier_copies() / 2);
  slots_in_.reserve(max_tier_copies() / 2);
  slots_out_.reserve(max_tier_copies() / 2);
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
  if (tiers_.enabled()) blocks.keys_.reserve(static_cast<std::size_t>(num_tokens) / span_tokens());
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
  const std::size_t waiting = slots_out_.size();
  if (blocks.node_ == kNoNode && span <= num_computed) descend(blocks, prefix_.root(root));
  while (blocks.num_committed_ + span <= num_computed && blocks.node_ != kNoNode) {
    const auto begin = static_cast<std::size_t>(blocks.num_committed_);
    const NodeId node =
        prefix_.child(blocks.node_, tokens.subspan(begin, static_cast<std::size_t>(span)));
    if (node == kNoNode) return;  // the tree is full
    descend(blocks, node);
    commit_node(blocks, static_cast<std::int64_t>(begin));
    if (tiers_.enabled()) {
      extend_keys(blocks, root, tokens, begin / span_tokens() + 1);
      keep_in_host(blocks, tokens, static_cast<std::int64_t>(begin));
      if (slots_out_.size() > waiting + 1) prompt_goes_out_ = true;
    }
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

// Down its path to the root: each node stays while it has a child, or the sequence stands there.
void KvCacheManager::distrust(SequenceBlocks& blocks, const CacheRoot& root,
                              std::span<const TokenId> tokens) {
  const auto count = static_cast<std::size_t>(blocks.num_committed_) / span_tokens();
  if (tiers_.enabled()) extend_keys(blocks, root, tokens, count);
  NodeId node = blocks.node_;
  for (std::int64_t begin = blocks.num_committed_ - prefix_.span_tokens(); begin >= 0;
       begin -= prefix_.span_tokens()) {
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      for (std::int32_t i = 0; i < prefix_.pages_per_node(g); ++i) {
        const BlockId page = prefix_.page(node, g, i);
        if (page != kNoBlock) prefix_.forget(page);
      }
    }
    if (tiers_.enabled()) drop_from_host(blocks, tokens, begin);
    node = prefix_.parent(node);
  }
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

// Every block is read by one copy out and written by one copy in, at the most.
std::size_t KvCacheManager::max_tier_copies() const {
  return tiers_.enabled() ? 2 * static_cast<std::size_t>(pool_.num_blocks()) : 0;
}

bool KvCacheManager::copies_can_wait() const {
  const auto num_slots = static_cast<std::size_t>(tiers_.host().num_slots());
  if (!copies_.empty()) return false;
  if (copies_out_.empty()) return true;
  return !prompt_goes_out_ && slots_out_.size() <= std::min(kMaxSpansWaiting, num_slots / 4) &&
         std::ranges::all_of(copies_out_,
                             [this](const BlockCopy& copy) { return prefix_.holds(copy.from); });
}

void KvCacheManager::finish_copies(bool done) {
  for (const BlockCopy& copy : copies_) {
    if (copy.kind != CopyKind::kCopyOnWrite) continue;
    give_back(static_cast<std::size_t>(copy.group), copy.from);
  }
  for (const BlockId slot : slots_in_) tiers_.release(slot);
  for (const BlockId slot : slots_out_) done ? tiers_.kept(slot) : tiers_.lost(slot);
  copies_.clear();
  copies_out_.clear();
  slots_in_.clear();
  slots_out_.clear();
  prompt_goes_out_ = false;
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
  tiers_.check_invariants(slots_in_.size() + slots_out_.size());
  const auto sources = std::ranges::count(copies_, CopyKind::kCopyOnWrite, &BlockCopy::kind);
  CHECK_EQ(pool_.num_references(), table_entries_ + sources);
  CHECK_GE(reserved_, 0);
  CHECK_GE(shared_debt_, 0);
  CHECK_GE(num_free(), 0);
}

void KvCacheManager::check_place(const SequenceBlocks& blocks, std::span<const TokenId> tokens,
                                 std::int64_t num_computed) const {
  if (blocks.node_ == kNoNode) return;
  CHECK_LE(blocks.num_committed_, num_computed);
  NodeId node = blocks.node_;
  const std::size_t span = span_tokens();
  for (auto end = static_cast<std::size_t>(blocks.num_committed_); end > 0; end -= span) {
    CHECK(std::ranges::equal(prefix_.tokens_of(node), tokens.subspan(end - span, span)));
    node = prefix_.parent(node);
  }
}

}  // namespace quire::cache
