#pragma once
// PrefixCache: which blocks hold the keys and values of which beginnings.
//
//   root {salt, adapter}            roots share nothing, however equal their prompts
//    +- node [t0 .. t15]            a node is a span of `span()` tokens under its parent
//        +- node [t16 .. t31]       page(group, i): the block with its keys and values, or none
//        +- node [t16' .. t31']
//
// Ids only; one owner: the engine thread; no lock. A node is found by a hash of (parent, tokens)
// and then compared by its tokens: a collision costs time and never an answer.
// 1. A block is the page of at most one node, and forget() is called before its content changes.
// 2. A node is there as long as it has a page, a child or a pin; then it goes, and with it parents
//    that are there for nothing else. At most max_nodes() exist; beyond that nothing is added.
// 3. The span is the largest block_size of the groups; a group with smaller blocks has several
//    pages in a node.
// Cost: match O(tokens), at most max_candidates spans compared for the partial end; the rest O(1)
// expected per node; allocates no memory after construction.

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "cache/options.h"
#include "proto/types.h"

namespace quire::cache {

enum class NodeId : std::int32_t {};
inline constexpr NodeId kNoNode{-1};

inline constexpr std::size_t kMaxGroups = 4;
inline constexpr std::int64_t kNoWindow = std::numeric_limits<std::int64_t>::max() / 4;

// What the tree has to know of a group.
struct GroupShape {
  std::int32_t block_size = 16;     // tokens
  std::int64_t window = kNoWindow;  // tokens that a token attends to, itself included
};

struct CacheRoot {
  CacheSalt salt = {};
  std::int32_t adapter = 0;
  friend bool operator==(const CacheRoot&, const CacheRoot&) = default;
};

// The longest usable beginning: whole nodes up to `node`, then a part of `partial`.
struct PrefixHit {
  NodeId node = kNoNode;  // the root where num_tokens is 0; kNoNode where there is no root
  std::int32_t num_tokens = 0;
  NodeId partial = kNoNode;  // a child of `node`
  std::int32_t num_partial_tokens = 0;
};

class PrefixCache final {
 public:
  PrefixCache(const CacheOptions& options, std::span<const GroupShape> groups);

  // The longest beginning of `tokens`, of at most `limit` tokens, at which every group still has
  // all pages that the next token attends to.
  [[nodiscard]] PrefixHit match(const CacheRoot& root, std::span<const TokenId> tokens,
                                std::int64_t limit) const;

  // Found or made; kNoNode where the tree is full. What is made goes with the next look at it
  // unless it gets a page or a pin first.
  [[nodiscard]] NodeId root(const CacheRoot& root);
  [[nodiscard]] NodeId child(NodeId parent, std::span<const TokenId> tokens);

  // The span that it stands for.
  [[nodiscard]] std::span<const TokenId> tokens_of(NodeId node) const;
  [[nodiscard]] NodeId parent(NodeId node) const { return at(node).parent; }
  // Page i of the node's pages in the group; kNoBlock where there is none.
  [[nodiscard]] BlockId page(NodeId node, std::size_t group, std::int32_t i) const {
    return pages_[page_index(node, group, i)];
  }
  // Invariants: there is no page yet, and the block is no page.
  void put_page(NodeId node, std::size_t group, std::int32_t i, BlockId block);
  [[nodiscard]] bool holds(BlockId block) const {
    return place_of_[static_cast<std::size_t>(block)] >= 0;
  }
  // Whose page it is; -1 where it is nobody's.
  [[nodiscard]] int group_of(BlockId block) const;
  // The block's content is about to change: it is nobody's page any more. Any block.
  void forget(BlockId block);
  void pin(NodeId node) { ++at(node).pins; }
  void unpin(NodeId node);

  [[nodiscard]] std::int32_t span_tokens() const { return span_; }
  [[nodiscard]] std::int32_t pages_per_node(std::size_t group) const {
    return span_ / groups_[group].block_size;
  }
  // Over all groups; and where page i of a group stands among them.
  [[nodiscard]] std::int32_t pages_per_node() const {
    return static_cast<std::int32_t>(pages_per_node_);
  }
  [[nodiscard]] std::int32_t place_in_node(std::size_t group, std::int32_t i) const {
    return static_cast<std::int32_t>(first_page_[group]) + i;
  }
  [[nodiscard]] std::int32_t num_nodes() const { return num_nodes_; }
  [[nodiscard]] std::int32_t num_pages() const { return num_pages_; }
  [[nodiscard]] std::int32_t max_nodes() const { return max_nodes_; }
  // Aborts the process if an invariant is broken. O(max_nodes).
  void check_invariants() const;

 private:
  struct Node {
    NodeId parent = kNoNode;
    NodeId first_child = kNoNode;
    NodeId next_sibling = kNoNode;
    NodeId previous_sibling = kNoNode;
    NodeId next_in_bucket = kNoNode;  // of the hash table, or of the free nodes
    std::int32_t num_pages = 0;
    std::int32_t pins = 0;
    bool used = false;
    bool is_root = false;
    std::uint64_t hash = 0;
  };
  using Runs = std::array<std::int64_t, kMaxGroups>;

  [[nodiscard]] Node& at(NodeId node) { return nodes_[static_cast<std::size_t>(node)]; }
  [[nodiscard]] const Node& at(NodeId node) const { return nodes_[static_cast<std::size_t>(node)]; }
  [[nodiscard]] std::size_t page_index(NodeId node, std::size_t group, std::int32_t i) const {
    return static_cast<std::size_t>(node) * pages_per_node_ + first_page_[group] +
           static_cast<std::size_t>(i);
  }

  [[nodiscard]] std::uint64_t hash_of(const CacheRoot& root) const;
  [[nodiscard]] std::uint64_t hash_of(NodeId parent, std::span<const TokenId> tokens) const;
  [[nodiscard]] NodeId& bucket(std::uint64_t hash);
  [[nodiscard]] NodeId first_in_bucket(std::uint64_t hash) const;
  [[nodiscard]] NodeId find_root(const CacheRoot& root, std::uint64_t hash) const;
  [[nodiscard]] NodeId find_child(NodeId parent, std::span<const TokenId> tokens,
                                  std::uint64_t hash) const;
  [[nodiscard]] NodeId take_free_node();
  [[nodiscard]] NodeId make(NodeId parent, std::uint64_t hash);
  void remove_if_idle(NodeId node);
  void remove(NodeId node);

  [[nodiscard]] bool extend(NodeId node, std::int64_t num_tokens, Runs& runs) const;
  [[nodiscard]] bool has_all_pages(NodeId node) const;
  void match_partly(std::span<const TokenId> rest, std::int64_t limit, NodeId whole,
                    PrefixHit& hit) const;
  void check_node(NodeId node) const;

  std::vector<GroupShape> groups_;
  std::int32_t span_;
  std::size_t pages_per_node_ = 0;
  std::array<std::size_t, kMaxGroups> first_page_{};
  std::uint64_t hash_seed_;
  std::uint64_t hash_mask_;
  std::int32_t max_candidates_;

  // Reserved for max_nodes_ and grown as nodes are first needed: a large pool's tree takes no
  // memory before it has nodes.
  std::int32_t max_nodes_ = 0;
  std::vector<Node> nodes_;
  std::vector<TokenId> tokens_;         // [node][span]
  std::vector<CacheRoot> roots_;        // [node]; meaningful where is_root
  std::vector<BlockId> pages_;          // [node][group][i]
  std::vector<std::int64_t> place_of_;  // [block]: where in pages_; -1: nowhere
  std::vector<NodeId> buckets_;         // a power of two
  NodeId free_nodes_ = kNoNode;
  std::int32_t num_nodes_ = 0;
  std::int32_t num_pages_ = 0;
};

}  // namespace quire::cache
