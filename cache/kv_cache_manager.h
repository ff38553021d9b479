#pragma once
// KvCacheManager: the room's one door. Gives sequences the blocks they need, those that others have
// computed already among them, and takes them back.
//
// One owner: the engine thread; no lock. Holds ids only: the memory is engine/KvStorage's.
//
// The life of a sequence's blocks:
//   make_room_in   capacity for its tables (any thread)
//   claim          blocks for all its tokens: shared ones first, then new ones
//   allocate_slots before each step; gives back what left a window
//   commit         after each step: full blocks enter the prefix tree
//   free           everything back, tail first; committed blocks keep their content until reused
//
// 1. Every block is free or held; the references add up to the entries of all tables and the
//    sources of copies in flight (check_invariants).
// 2. claim and allocate_slots are all or nothing.
// 3. A block with two owners is full and is never written. What is shared in part is copied:
//    copies() lists what the next step must copy before it writes anything; the sources are held
//    until finish_copies().
// 4. A promise is kept: a sequence always gets the blocks it was promised. Where a group has a
//    window, its sequences give blocks back and ask for others as they go on; a block that several
//    of them share is therefore paid for by each (`shared_debt`), as if each had its own.
// Cost: O(tokens) for claim, O(blocks gained or lost) for the rest; allocates no memory after
// construction.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cache/block_copy.h"
#include "cache/block_pool.h"
#include "cache/kv_spec.h"
#include "cache/options.h"
#include "cache/prefix_cache.h"
#include "cache/sequence_blocks.h"
#include "cache/tiers.h"
#include "proto/page_snapshot.h"

namespace quire::cache {

struct CacheUsage {
  std::int32_t total_blocks = 0;
  std::int32_t free_blocks = 0;      // neither held nor set aside
  std::int32_t reserved_blocks = 0;  // promised and not yet in a table
  std::int32_t shared_debt = 0;      // invariant 4
  std::int32_t cached_blocks = 0;    // pages of the prefix tree, held or free
};

// Since start.
struct CacheStats {
  std::int64_t queried_tokens = 0;  // of claims that could have hit
  std::int64_t hit_tokens = 0;      // not computed again: prefix hits and forks
  std::int64_t hits = 0;            // claims with a hit in the tree
  std::int64_t partial_hits = 0;    // of these, with a partly equal block
  std::int64_t forks = 0;           // claims that shared a running sequence's blocks
  std::int64_t copies = 0;          // pages copied on write
  std::int64_t evictions = 0;       // pages of the tree whose blocks were reused
  std::int64_t joined_blocks = 0;   // computed twice at the same time, kept once
};

// What a sequence asks for when it starts.
struct Claim {
  CacheRoot root = {};
  std::span<const TokenId> tokens = {};  // all that are known
  std::int64_t max_reused = 0;       // tokens that need not be computed; less than tokens.size()
  std::int64_t promised_tokens = 0;  // blocks for so many are promised; 0: no promise
  // A running sequence with the same beginning, and how many of its tokens are computed and the
  // same; may be null.
  const SequenceBlocks* leader = nullptr;
  std::int64_t leader_tokens = 0;
  bool readmission = false;  // it ran before and was preempted
};

class KvCacheManager final {
 public:
  // lower: what lies below host memory; may be null, and outlives this.
  KvCacheManager(const CacheOptions& options, KvCacheSpec spec, LowerTier* lower = nullptr);

  [[nodiscard]] const KvCacheSpec& spec() const { return spec_; }
  [[nodiscard]] std::size_t num_groups() const { return groups_.size(); }
  // Blocks of the group that cover `num_tokens` tokens from position 0.
  [[nodiscard]] std::int64_t table_size(std::size_t group, std::int64_t num_tokens) const;
  // The most blocks that a sequence of so many tokens holds at once, over all groups.
  [[nodiscard]] std::int64_t blocks_for(std::int64_t num_tokens) const;
  // The longest sequence that the pool holds.
  [[nodiscard]] std::int64_t max_tokens() const;

  // Capacity for `num_tokens`, so that nothing is allocated later. Any thread.
  void make_room_in(SequenceBlocks& blocks, std::int64_t num_tokens) const;

  // Blocks for all tokens of a sequence that holds none. The tokens that need not be computed, or
  // nullopt (and nothing changed) where too few blocks are free.
  [[nodiscard]] std::optional<std::int32_t> claim(SequenceBlocks& blocks, const Claim& claim);
  // Would it claim, were so many more blocks free? Changes nothing.
  [[nodiscard]] bool could_claim(SequenceBlocks& blocks, const Claim& claim, std::int64_t more);
  // Slots for the tokens [num_computed, num_tokens), where those before are computed. Gives back
  // what no token from num_computed on attends to. False where too few blocks are free.
  [[nodiscard]] bool allocate_slots(SequenceBlocks& blocks, std::int64_t num_computed,
                                    std::int64_t num_tokens);
  // The first `num_computed` of `tokens` are computed, and will not be written again.
  void commit(SequenceBlocks& blocks, const CacheRoot& root, std::span<const TokenId> tokens,
              std::int64_t num_computed);
  // Gives all blocks and the promise back.
  void free(SequenceBlocks& blocks);
  // The same for a sequence that will go on: whether it is swapped out follows from what the tiers
  // have of it.
  void preempt(SequenceBlocks& blocks);

  // Something that the sequence has computed or reused is wrong, and nobody knows where: no other
  // begins with any of it from now on, on the device or in host memory. Before free().
  void distrust(SequenceBlocks& blocks, const CacheRoot& root, std::span<const TokenId> tokens);

  // Host memory has pages of the sequence, which holds no blocks.
  [[nodiscard]] bool is_in_host(const SequenceBlocks& blocks) const;

  // The sequence is about to claim: reads what a lower tier may have of it into host memory. What
  // to wait for, or kNoTicket; after that a claim finds what came.
  [[nodiscard]] ReadTicket start_reads(SequenceBlocks& blocks, const Claim& claim);
  [[nodiscard]] bool is_reading(ReadTicket ticket) const { return tiers_.is_pending(ticket); }
  // Takes what the lower tier reports, and gives it what is to be written. Before each step.
  void poll_tiers() { tiers_.poll(); }
  [[nodiscard]] Tiers& tiers() { return tiers_; }
  [[nodiscard]] const Tiers& tiers() const { return tiers_; }

  // Forgets what the block holds, where it is free: as if it had been evicted.
  void evict(BlockId block);

  // The most pages that one claim copies on write, and all that a step copies between tiers.
  [[nodiscard]] std::size_t max_copies() const;
  [[nodiscard]] std::size_t max_tier_copies() const;
  // Since finish_copies(): pages for the host tier, to be copied first; then copies on write and
  // pages from the host tier, in the order in which they must be done: a later one's source may be
  // what an earlier one writes.
  [[nodiscard]] std::span<const BlockCopy> copies_out() const { return copies_out_; }
  [[nodiscard]] std::span<const BlockCopy> copies() const { return copies_; }
  // A step without any of them may come first: all go out, they are few, no prompt's (which others
  // may ask for soon), and what they read are pages of the tree still, which no step writes. Ask
  // once the step has all its blocks: a page leaves the tree before its block is given to anyone,
  // which makes this false, and then the step that writes the block copies the page first. What
  // makes it false does so until finish_copies().
  [[nodiscard]] bool copies_can_wait() const;
  // done: the step did them; else it will never be heard of again.
  void finish_copies(bool done = true);

  [[nodiscard]] CacheUsage usage() const;
  [[nodiscard]] const CacheStats& stats() const { return stats_; }
  [[nodiscard]] std::int32_t ref_count(BlockId block) const { return pool_.ref_count(block); }
  [[nodiscard]] bool is_cached(BlockId block) const { return prefix_.holds(block); }
  // Notes the step, for the ages that describe() tells.
  void begin_step(StepId step) { pool_.set_now(static_cast<std::uint32_t>(step)); }
  // Fills the columns of all blocks.
  void describe(PageSnapshot& snapshot) const;
  void check_invariants() const;
  // The sequence's place in the tree stands for its own tokens, of which so many are computed.
  void check_place(const SequenceBlocks& blocks, std::span<const TokenId> tokens,
                   std::int64_t num_computed) const;

 private:
  struct Group {
    std::int32_t block_size = 1;
    std::int64_t window = kNoWindow;
    std::int64_t most_held = 0;  // blocks of one sequence at once
  };
  // A beginning that is there already: in the tree, or in a leader's tables.
  struct Reuse {
    std::int64_t num_tokens = 0;
    std::int64_t num_read = 0;  // of these, the last: whole spans that come from the host tier
    PrefixHit hit;
    const SequenceBlocks* leader = nullptr;
    bool declined = false;  // host memory has more, and computing it is cheaper

    [[nodiscard]] std::int64_t on_device() const { return num_tokens - num_read; }
  };

  [[nodiscard]] bool has_window(std::size_t group) const {
    return groups_[group].window != kNoWindow;
  }
  // The first block that the token at position `num_computed` attends to.
  [[nodiscard]] std::int64_t first_block(std::size_t group, std::int64_t num_computed) const;
  [[nodiscard]] std::int64_t end_block(std::size_t group, std::int64_t first,
                                       std::int64_t num_tokens) const;
  [[nodiscard]] std::int32_t num_free() const {
    return pool_.num_free() - reserved_ - shared_debt_;
  }

  [[nodiscard]] bool has_slots(const SequenceBlocks& blocks, std::int64_t num_computed,
                               std::int64_t num_tokens) const;

  // The parts of claim().
  [[nodiscard]] std::optional<Reuse> propose_affordable(SequenceBlocks& blocks, const Claim& claim,
                                                        std::int64_t num_free);
  static void withdraw(SequenceBlocks& blocks);
  [[nodiscard]] Reuse find_reuse(SequenceBlocks& blocks, const Claim& claim);
  void extend_by_host(SequenceBlocks& blocks, const Claim& claim, Reuse& reuse);
  [[nodiscard]] std::size_t host_end(const SequenceBlocks& blocks, std::span<const TokenId> tokens,
                                     std::size_t first, std::size_t last) const;
  void extend_keys(SequenceBlocks& blocks, const CacheRoot& root, std::span<const TokenId> tokens,
                   std::size_t count) const;
  void take_from_host(SequenceBlocks& blocks, const Claim& claim, const Reuse& reuse);
  void take_span_from_host(SequenceBlocks& blocks, std::span<const TokenId> tokens,
                           std::int64_t begin);
  [[nodiscard]] std::int64_t leader_reach(const SequenceBlocks& leader, std::int64_t limit) const;
  [[nodiscard]] Reuse whole_spans(const Reuse& reuse) const;
  void propose(SequenceBlocks& blocks, const Reuse& reuse) const;
  void propose_node(SequenceBlocks& blocks, NodeId node, std::int64_t begin) const;
  [[nodiscard]] std::size_t shared_end(const BlockTable& table, std::size_t group,
                                       const Reuse& reuse) const;
  [[nodiscard]] std::int64_t price_of_all(const SequenceBlocks& blocks, const Reuse& reuse,
                                          const Claim& claim) const;
  void take_proposed(SequenceBlocks& blocks, const Reuse& reuse, std::int64_t num_tokens);
  void place_in_tree(SequenceBlocks& blocks, const Reuse& reuse);
  void count(const Claim& claim, const Reuse& reuse);

  [[nodiscard]] BlockId take_new();
  void take(std::size_t group, BlockId block);
  void give_back(std::size_t group, BlockId block);
  [[nodiscard]] std::int32_t price_of(std::size_t group, BlockId block) const;
  void grow(SequenceBlocks& blocks, std::size_t group, std::int64_t end);
  void shrink(SequenceBlocks& blocks, std::size_t group, std::int64_t first);
  void set_held(SequenceBlocks& blocks, std::int32_t num_held, std::int32_t num_promised);
  void descend(SequenceBlocks& blocks, NodeId node);
  void commit_node(SequenceBlocks& blocks, std::int64_t begin);
  void keep_in_host(const SequenceBlocks& blocks, std::span<const TokenId> tokens,
                    std::int64_t begin);
  void drop_from_host(const SequenceBlocks& blocks, std::span<const TokenId> tokens,
                      std::int64_t begin);
  [[nodiscard]] bool holds_span(const SequenceBlocks& blocks, std::int64_t begin) const;
  [[nodiscard]] std::size_t span_tokens() const {
    return static_cast<std::size_t>(prefix_.span_tokens());
  }
  // Page i of the group in a slot of the host tier.
  [[nodiscard]] BlockId host_page(BlockId slot, std::size_t group, std::int32_t i) const {
    return BlockId{static_cast<std::int32_t>(slot) * prefix_.pages_per_node() +
                   prefix_.place_in_node(group, i)};
  }
  void commit_page(BlockId& entry, NodeId node, std::size_t group, std::int32_t i);

  // So many spans wait to go out together: a step with copies is computed alone, before the next is
  // planned.
  static constexpr std::size_t kMaxSpansWaiting = 32;

  const KvCacheSpec spec_;
  const bool enable_prefix_caching_;
  std::vector<Group> groups_;
  BlockPool pool_;
  PrefixCache prefix_;
  Tiers tiers_;
  const PageKey tier_context_;
  std::vector<BlockCopy> copies_, copies_out_;
  std::vector<BlockId> slots_in_, slots_out_;  // of the host tier, held for these copies
  bool prompt_goes_out_ = false;  // several spans of one sequence were computed at once
  std::int32_t reserved_ = 0;
  std::int32_t shared_debt_ = 0;
  std::int64_t table_entries_ = 0;  // over all tables
  CacheStats stats_;
};

}  // namespace quire::cache
