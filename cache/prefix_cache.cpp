#include "cache/prefix_cache.h"

#include <algorithm>
#include <bit>

#include "proto/check.h"

namespace quire::cache {
namespace {

constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15u;

// One round: a product and the fold of its upper half.
std::uint64_t stir(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * kFactor;
  return hash ^ (hash >> 32);
}

std::size_t equal_tokens(std::span<const TokenId> a, std::span<const TokenId> b) {
  const std::size_t size = std::min(a.size(), b.size());
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + size, b.begin()).first -
                                  a.begin());
}

}  // namespace

PrefixCache::PrefixCache(const CacheOptions& options, std::span<const GroupShape> groups)
    : groups_(groups.begin(), groups.end()),
      span_(0),
      hash_seed_(options.hash_seed),
      hash_mask_(options.hash_bits >= 64 ? ~std::uint64_t{0}
                                         : (std::uint64_t{1} << options.hash_bits) - 1),
      max_candidates_(options.max_candidates) {
  CHECK(!groups_.empty() && groups_.size() <= kMaxGroups);
  for (const GroupShape& group : groups_) span_ = std::max(span_, group.block_size);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    CHECK_GE(groups_[g].window, 1);
    CHECK_EQ(span_ % groups_[g].block_size, 0);
    first_page_[g] = pages_per_node_;
    pages_per_node_ += static_cast<std::size_t>(pages_per_node(g));
  }
  // With one group a node has a page or is about to go. A group with a window may have let go of
  // pages in the middle: as many again, and roots.
  const std::size_t max_nodes = 2 * static_cast<std::size_t>(options.num_blocks) + 2;
  CHECK_LT(max_nodes, static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()));
  max_nodes_ = static_cast<std::int32_t>(max_nodes);
  nodes_.reserve(max_nodes);
  tokens_.reserve(max_nodes * static_cast<std::size_t>(span_));
  roots_.reserve(max_nodes);
  pages_.reserve(max_nodes * pages_per_node_);
  place_of_.resize(static_cast<std::size_t>(options.num_blocks), -1);
  buckets_.resize(std::bit_ceil(max_nodes), kNoNode);
}

std::span<const TokenId> PrefixCache::tokens_of(NodeId node) const {
  const auto size = static_cast<std::size_t>(span_);
  return std::span(tokens_).subspan(static_cast<std::size_t>(node) * size, size);
}

// ---- finding ------------------------------------------------------------------------------------

PrefixHit PrefixCache::match(const CacheRoot& root, std::span<const TokenId> tokens,
                             std::int64_t limit) const {
  PrefixHit hit{.node = find_root(root, hash_of(root))};
  if (hit.node == kNoNode) return hit;
  Runs runs{};
  NodeId node = hit.node;
  NodeId next = kNoNode;  // a node that continues the tokens, but goes beyond the limit
  std::int32_t num_tokens = 0;
  while (tokens.size() - static_cast<std::size_t>(num_tokens) >= static_cast<std::size_t>(span_)) {
    const auto span =
        tokens.subspan(static_cast<std::size_t>(num_tokens), static_cast<std::size_t>(span_));
    next = find_child(node, span, hash_of(node, span));
    if (next == kNoNode || num_tokens + span_ > limit) break;
    node = next;
    next = kNoNode;
    num_tokens += span_;
    if (extend(node, num_tokens, runs)) {
      hit.node = node;
      hit.num_tokens = num_tokens;
    }
  }
  if (hit.num_tokens == num_tokens && num_tokens < limit) {
    match_partly(tokens.subspan(static_cast<std::size_t>(num_tokens)), limit - num_tokens, next,
                 hit);
  }
  return hit;
}

// The node's pages join the pages in a row that each group has before it. True: in every group they
// reach back as far as the token at position `num_tokens` attends.
bool PrefixCache::extend(NodeId node, std::int64_t num_tokens, Runs& runs) const {
  bool all = true;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    for (std::int32_t i = 0; i < pages_per_node(g); ++i) {
      runs[g] = page(node, g, i) == kNoBlock ? 0 : runs[g] + 1;
    }
    const std::int64_t size = groups_[g].block_size;
    const std::int64_t first = std::max<std::int64_t>(0, num_tokens - groups_[g].window + 1) / size;
    all = all && runs[g] >= num_tokens / size - first;
  }
  return all;
}

bool PrefixCache::has_all_pages(NodeId node) const {
  return at(node).num_pages == static_cast<std::int32_t>(pages_per_node_);
}

// The child of hit.node that shares the most of `rest`: `whole`, where all of its span is equal.
void PrefixCache::match_partly(std::span<const TokenId> rest, std::int64_t limit, NodeId whole,
                               PrefixHit& hit) const {
  rest = rest.first(std::min(rest.size(), static_cast<std::size_t>(limit)));
  const bool found = whole != kNoNode;
  NodeId candidate = found ? whole : at(hit.node).first_child;
  for (std::int32_t i = 0; i < (found ? 1 : max_candidates_) && candidate != kNoNode; ++i) {
    const auto equal = static_cast<std::int32_t>(equal_tokens(tokens_of(candidate), rest));
    if (equal > hit.num_partial_tokens && has_all_pages(candidate)) {
      hit.partial = candidate;
      hit.num_partial_tokens = equal;
    }
    candidate = at(candidate).next_sibling;
  }
}

std::uint64_t PrefixCache::hash_of(const CacheRoot& root) const {
  const auto adapter = static_cast<std::uint64_t>(root.adapter);
  return stir(stir(stir(hash_seed_, root.salt.high), root.salt.low), adapter) & hash_mask_;
}

std::uint64_t PrefixCache::hash_of(NodeId parent, std::span<const TokenId> tokens) const {
  std::uint64_t hash = stir(hash_seed_, ~static_cast<std::uint64_t>(parent));
  std::size_t i = 0;
  for (; i + 1 < tokens.size(); i += 2) {
    hash = stir(hash, static_cast<std::uint64_t>(static_cast<std::uint32_t>(tokens[i])) << 32 |
                          static_cast<std::uint32_t>(tokens[i + 1]));
  }
  if (i < tokens.size()) hash = stir(hash, static_cast<std::uint32_t>(tokens[i]));
  return hash & hash_mask_;
}

NodeId& PrefixCache::bucket(std::uint64_t hash) {
  return buckets_[static_cast<std::size_t>(hash) & (buckets_.size() - 1)];
}

NodeId PrefixCache::first_in_bucket(std::uint64_t hash) const {
  return buckets_[static_cast<std::size_t>(hash) & (buckets_.size() - 1)];
}

NodeId PrefixCache::find_root(const CacheRoot& root, std::uint64_t hash) const {
  NodeId node = first_in_bucket(hash);
  while (node != kNoNode && !(at(node).is_root && roots_[static_cast<std::size_t>(node)] == root)) {
    node = at(node).next_in_bucket;
  }
  return node;
}

NodeId PrefixCache::find_child(NodeId parent, std::span<const TokenId> tokens,
                               std::uint64_t hash) const {
  NodeId node = first_in_bucket(hash);
  while (node != kNoNode && !(at(node).hash == hash && at(node).parent == parent &&
                              std::ranges::equal(tokens_of(node), tokens))) {
    node = at(node).next_in_bucket;
  }
  return node;
}

// ---- changing -----------------------------------------------------------------------------------

NodeId PrefixCache::root(const CacheRoot& root) {
  const std::uint64_t hash = hash_of(root);
  NodeId node = find_root(root, hash);
  if (node != kNoNode) return node;
  node = make(kNoNode, hash);
  if (node != kNoNode) roots_[static_cast<std::size_t>(node)] = root;
  return node;
}

NodeId PrefixCache::child(NodeId parent, std::span<const TokenId> tokens) {
  CHECK_EQ(tokens.size(), static_cast<std::size_t>(span_));
  const std::uint64_t hash = hash_of(parent, tokens);
  NodeId node = find_child(parent, tokens, hash);
  if (node != kNoNode) return node;
  node = make(parent, hash);
  if (node != kNoNode) {
    std::ranges::copy(tokens, tokens_.begin() + static_cast<std::ptrdiff_t>(node) * span_);
  }
  return node;
}

// One that was removed, or one that was never used; kNoNode where all are in use.
NodeId PrefixCache::take_free_node() {
  if (free_nodes_ != kNoNode) {
    const NodeId node = free_nodes_;
    free_nodes_ = at(node).next_in_bucket;
    return node;
  }
  const auto size = static_cast<std::int32_t>(nodes_.size());
  if (size == max_nodes_) return kNoNode;
  nodes_.emplace_back();
  tokens_.resize(tokens_.size() + static_cast<std::size_t>(span_));
  roots_.emplace_back();
  pages_.resize(pages_.size() + pages_per_node_, kNoBlock);
  return NodeId{size};
}

NodeId PrefixCache::make(NodeId parent, std::uint64_t hash) {
  const NodeId made = take_free_node();
  if (made == kNoNode) return made;
  Node& node = at(made);
  node = {.parent = parent,
          .next_in_bucket = bucket(hash),
          .used = true,
          .is_root = parent == kNoNode,
          .hash = hash};
  bucket(hash) = made;
  ++num_nodes_;
  if (parent == kNoNode) return made;
  node.next_sibling = at(parent).first_child;
  if (node.next_sibling != kNoNode) at(node.next_sibling).previous_sibling = made;
  at(parent).first_child = made;
  return made;
}

void PrefixCache::put_page(NodeId node, std::size_t group, std::int32_t i, BlockId block) {
  const std::size_t place = page_index(node, group, i);
  CHECK(pages_[place] == kNoBlock && !holds(block));
  pages_[place] = block;
  place_of_[static_cast<std::size_t>(block)] = static_cast<std::int64_t>(place);
  ++at(node).num_pages;
  ++num_pages_;
}

int PrefixCache::group_of(BlockId block) const {
  const std::int64_t place = place_of_[static_cast<std::size_t>(block)];
  if (place < 0) return -1;
  const std::size_t in_node = static_cast<std::size_t>(place) % pages_per_node_;
  std::size_t group = groups_.size() - 1;
  while (first_page_[group] > in_node) --group;
  return static_cast<int>(group);
}

void PrefixCache::forget(BlockId block) {
  std::int64_t& place = place_of_[static_cast<std::size_t>(block)];
  if (place < 0) return;
  const NodeId node{static_cast<std::int32_t>(static_cast<std::size_t>(place) / pages_per_node_)};
  pages_[static_cast<std::size_t>(place)] = kNoBlock;
  place = -1;
  --num_pages_;
  --at(node).num_pages;
  remove_if_idle(node);
}

void PrefixCache::unpin(NodeId node) {
  CHECK_GT(at(node).pins, 0);
  --at(node).pins;
  remove_if_idle(node);
}

// And its parents, as far as they were there for it alone.
void PrefixCache::remove_if_idle(NodeId node) {
  while (node != kNoNode) {
    const Node& n = at(node);
    if (n.num_pages > 0 || n.pins > 0 || n.first_child != kNoNode) return;
    const NodeId above = n.parent;
    remove(node);
    node = above;
  }
}

void PrefixCache::remove(NodeId removed) {
  Node& node = at(removed);
  NodeId* link = &bucket(node.hash);
  while (*link != removed) link = &at(*link).next_in_bucket;
  *link = node.next_in_bucket;
  if (node.next_sibling != kNoNode) at(node.next_sibling).previous_sibling = node.previous_sibling;
  if (node.previous_sibling != kNoNode) {
    at(node.previous_sibling).next_sibling = node.next_sibling;
  } else if (node.parent != kNoNode) {
    at(node.parent).first_child = node.next_sibling;
  }
  node = {.next_in_bucket = free_nodes_};
  free_nodes_ = removed;
  --num_nodes_;
}

void PrefixCache::check_invariants() const {
  std::int32_t used = 0, pages = 0;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(nodes_.size()); ++i) {
    const Node& node = nodes_[static_cast<std::size_t>(i)];
    if (!node.used) continue;
    ++used;
    pages += node.num_pages;
    check_node(NodeId{i});
  }
  CHECK_EQ(used, num_nodes_);
  CHECK_EQ(pages, num_pages_);
}

void PrefixCache::check_node(NodeId id) const {
  const Node& node = at(id);
  CHECK(node.num_pages > 0 || node.pins > 0 || node.first_child != kNoNode);
  CHECK_EQ(node.is_root, node.parent == kNoNode);
  CHECK(node.is_root || at(node.parent).used);
  CHECK(node.first_child == kNoNode || at(node.first_child).parent == id);
  std::int32_t pages = 0;
  const std::size_t begin = page_index(id, 0, 0);
  for (std::size_t place = begin; place < begin + pages_per_node_; ++place) {
    if (pages_[place] == kNoBlock) continue;
    ++pages;
    CHECK_EQ(place_of_[static_cast<std::size_t>(pages_[place])], static_cast<std::int64_t>(place));
  }
  CHECK_EQ(pages, node.num_pages);
}

}  // namespace quire::cache
