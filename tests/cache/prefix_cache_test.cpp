// What is shared, what is copied, what is evicted: the prefix tree through the manager's door.

#include "cache/kv_cache_manager.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

namespace quire::cache {
namespace {

using Tokens = std::vector<TokenId>;

KvGroupSpec group_of(std::int32_t block_size, std::int32_t window = 0) {
  return {.kind = window > 0 ? AttentionKind::kSlidingWindow : AttentionKind::kFull,
          .num_layers = 1,
          .num_kv_heads = 1,
          .head_dim = 8,
          .window = window,
          .block_size = block_size};
}

Tokens counting(TokenId first, std::size_t size) {
  Tokens tokens(size);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

Tokens operator+(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// A cache and the tokens of those that use it.
class Desk final {
 public:
  explicit Desk(CacheOptions options, std::vector<KvGroupSpec> groups = {group_of(4)})
      : cache(options, {.groups = std::move(groups)}) {}

  // What a sequence with these tokens reuses, when it starts and computes all of them.
  std::int32_t run(const Tokens& tokens, CacheRoot root = {}) {
    SequenceBlocks blocks;
    const std::int32_t reused = begin(blocks, tokens, root);
    cache.free(blocks);
    cache.check_invariants();
    return reused;
  }
  std::int32_t begin(SequenceBlocks& blocks, const Tokens& tokens, CacheRoot root = {}) {
    const std::int32_t reused = claim(blocks, tokens, root).value();
    compute(blocks, tokens, root);
    return reused;
  }
  std::optional<std::int32_t> claim(SequenceBlocks& blocks, const Tokens& tokens,
                                    CacheRoot root = {}, const SequenceBlocks* leader = nullptr,
                                    std::int64_t leader_tokens = 0) {
    cache.make_room_in(blocks, 4096);
    const auto reused = cache.claim(blocks, {.root = root,
                                             .tokens = tokens,
                                             .max_reused = std::ssize(tokens) - 1,
                                             .leader = leader,
                                             .leader_tokens = leader_tokens});
    cache.check_invariants();
    return reused;
  }
  void compute(SequenceBlocks& blocks, const Tokens& tokens, CacheRoot root = {}) {
    cache.finish_copies();
    cache.commit(blocks, root, tokens, std::ssize(tokens));
    cache.check_invariants();
  }

  KvCacheManager cache;
};

TEST_CASE("whole blocks are shared, the last token is computed, a part of a block is copied") {
  Desk desk({.num_blocks = 16});
  const Tokens first = counting(0, 12);
  CHECK(desk.run(first) == 0);
  CHECK(desk.run(first) == 11);                                 // 2 blocks and 3 tokens
  CHECK(desk.run(first + Tokens{90}) == 12);                    // 3 blocks
  CHECK(desk.run(counting(0, 8) + Tokens{50, 51, 52}) == 8);    // 2 blocks
  CHECK(desk.run(counting(0, 10) + Tokens{60, 61, 62}) == 10);  // 2 blocks and 2 tokens
  CHECK(desk.run({0, 1, 2}) == 2);                              // a part of the first
  CHECK(desk.run({1, 2, 3, 4, 5}) == 0);
  CHECK(desk.cache.stats().hits == 5);
  CHECK(desk.cache.stats().partial_hits == 3);
  CHECK(desk.cache.stats().copies == 3);
}

TEST_CASE(
    "a shared block keeps its owners and is not written: what follows is a block of one's own") {
  Desk desk({.num_blocks = 16});
  const Tokens tokens = counting(0, 8);
  SequenceBlocks a, b, c;
  CHECK(desk.begin(a, tokens + Tokens{70}) == 0);
  REQUIRE(desk.claim(b, tokens + Tokens{80}).value() == 8);  // while the first still runs
  CHECK(b.table(0).blocks()[0] == a.table(0).blocks()[0]);
  CHECK(b.table(0).blocks()[1] == a.table(0).blocks()[1]);
  CHECK(b.table(0).blocks()[2] != a.table(0).blocks()[2]);
  CHECK(desk.cache.ref_count(a.table(0).blocks()[0]) == 2);
  CHECK(desk.cache.usage().free_blocks == 16 - 4);

  REQUIRE(desk.claim(c, counting(0, 7)).value() == 6);  // copies the second block
  REQUIRE(desk.cache.copies().size() == 1);
  CHECK(desk.cache.copies()[0].from == a.table(0).blocks()[1]);
  CHECK(desk.cache.copies()[0].to == c.table(0).blocks()[1]);
  CHECK(desk.cache.ref_count(a.table(0).blocks()[1]) == 3);  // held until it is copied
  desk.cache.finish_copies();
  CHECK(desk.cache.ref_count(a.table(0).blocks()[1]) == 2);
  for (SequenceBlocks* blocks : {&a, &b, &c}) desk.cache.free(*blocks);
  desk.cache.check_invariants();
}

TEST_CASE("the source of a copy is not reused before it is copied, even where nobody holds it") {
  Desk desk({.num_blocks = 4});
  desk.run(counting(0, 8));  // two pages, free
  SequenceBlocks a, b;
  REQUIRE(desk.claim(a, {0, 1, 2, 3, 4, 5, 99}).value() == 6);
  const BlockCopy copy = desk.cache.copies()[0];
  CHECK(desk.cache.usage().free_blocks == 1);
  CHECK_FALSE(desk.claim(b, counting(40, 8)));  // two blocks: the source is not for it yet
  desk.cache.finish_copies();
  REQUIRE(desk.claim(b, counting(40, 8)));
  CHECK(std::ranges::count(b.table(0).blocks(), copy.from) == 1);
  desk.cache.free(a);
  desk.cache.free(b);
}

TEST_CASE("where there is no room for a copy's source, whole blocks are reused and no more") {
  Desk desk({.num_blocks = 2});
  desk.run(counting(0, 8));
  CHECK(desk.run(counting(0, 7)) == 4);
  CHECK(desk.cache.stats().copies == 0);
}

TEST_CASE("least recently used goes first, a prompt's tail before its head") {
  Desk desk({.num_blocks = 8});
  const Tokens a = counting(0, 12), b = counting(100, 12);
  desk.run(a);
  desk.run(b);
  desk.run(a);                  // refreshed, but for its copied last block
  desk.run(counting(200, 12));  // 3 blocks: two that were never used, and the oldest page
  CHECK(desk.run(a + Tokens{1}) == 12);
  desk.run(counting(300, 16));
  CHECK(desk.run(b + Tokens{1}) == 0);  // b is gone
  CHECK(desk.cache.stats().evictions > 0);
}

TEST_CASE("a head outlives its tail") {
  Desk desk({.num_blocks = 4});
  desk.run(counting(0, 16));
  desk.run(counting(500, 8));  // takes two
  CHECK(desk.run(counting(0, 16)) == 8);
}

TEST_CASE("the salt and the adapter divide the tree") {
  Desk desk({.num_blocks = 32});
  const Tokens tokens = counting(0, 9);
  const CacheRoot roots[] = {
      {}, {.salt = {.high = 1, .low = 0}}, {.salt = {.high = 0, .low = 1}}, {.adapter = 1}};
  for (const CacheRoot& root : roots) CHECK(desk.run(tokens, root) == 0);
  for (const CacheRoot& root : roots) CHECK(desk.run(tokens, root) == 8);
}

TEST_CASE("a hash of no bits at all: every node collides, and the answer is the same") {
  Desk desk({.num_blocks = 128, .hash_bits = 0});
  for (TokenId first = 0; first < 10; ++first) {
    CHECK(desk.run(counting(first * 100, 17),
                   {.salt = {.low = static_cast<std::uint64_t>(first)}}) == 0);
  }
  for (TokenId first = 0; first < 10; ++first) {
    CHECK(desk.run(counting(first * 100, 17),
                   {.salt = {.low = static_cast<std::uint64_t>(first)}}) == 16);
    CHECK(desk.run(counting(first * 100, 17)) == (first == 0 ? 16 : 0));
  }
}

TEST_CASE("two that compute the same at the same time keep one copy") {
  Desk desk({.num_blocks = 16});
  const Tokens tokens = counting(0, 9);
  SequenceBlocks a, b;
  CHECK(desk.claim(a, tokens).value() == 0);
  CHECK(desk.claim(b, tokens).value() == 0);
  CHECK(desk.cache.usage().free_blocks == 16 - 6);
  desk.compute(a, tokens);
  desk.compute(b, tokens);
  CHECK(desk.cache.stats().joined_blocks == 2);
  CHECK(desk.cache.usage().free_blocks == 16 - 4);
  CHECK(std::ranges::equal(a.table(0).blocks().first(2), b.table(0).blocks().first(2)));
  desk.cache.free(a);
  desk.cache.free(b);
  CHECK(desk.cache.usage().free_blocks == 16);
}

TEST_CASE("a fork shares what the leader computed and copies its last block, with no tree at all") {
  Desk desk({.num_blocks = 16, .enable_prefix_caching = false});
  const Tokens tokens = counting(0, 11);
  SequenceBlocks leader, fork, edge;
  REQUIRE(desk.begin(leader, tokens) == 0);
  REQUIRE(desk.claim(fork, tokens, {}, &leader, 11).value() == 10);
  REQUIRE(desk.cache.copies().size() == 1);
  CHECK(desk.cache.copies()[0].from == leader.table(0).blocks()[2]);
  CHECK(fork.table(0).blocks()[1] == leader.table(0).blocks()[1]);
  CHECK(fork.table(0).blocks()[2] == desk.cache.copies()[0].to);
  desk.cache.finish_copies();
  REQUIRE(desk.claim(edge, counting(0, 9), {}, &leader, 9).value() == 8);  // nothing to copy
  CHECK(desk.cache.copies().empty());
  CHECK(desk.cache.stats().forks == 2);
  CHECK(desk.cache.stats().hits == 0);
  for (SequenceBlocks* blocks : {&leader, &fork, &edge}) desk.cache.free(*blocks);
}

TEST_CASE("nodes come and go with their pages, their number is bounded") {
  Desk desk({.num_blocks = 8});
  for (TokenId i = 0; i < 1000; ++i) {
    desk.run(counting(i * 50, 20), {.salt = {.low = static_cast<std::uint64_t>(i)}});
  }
  CHECK(desk.cache.usage().cached_blocks <= 8);
  CHECK(desk.cache.stats().evictions > 4000);
}

// ---- several groups -----------------------------------------------------------------------------

TEST_CASE("a window gives back what it has passed and holds no more than window and step") {
  Desk desk({.num_blocks = 64, .max_step_tokens = 8}, {group_of(4, 8)});
  const Tokens tokens = counting(0, 200);
  SequenceBlocks blocks;
  REQUIRE(desk.claim(blocks, tokens).value() == 0);
  CHECK(desk.cache.blocks_for(200) == 5);  // ceil((8 - 1 + 8) / 4) + 1
  CHECK(desk.cache.max_tokens() > 1'000'000);
  for (std::int64_t computed = 0; computed < 200; computed += 8) {
    REQUIRE(desk.cache.allocate_slots(blocks, computed, computed + 8));
    CHECK(blocks.num_held() <= 5);
    const BlockTable& table = blocks.table(0);
    CHECK(static_cast<std::int64_t>(table.first()) == std::max<std::int64_t>(0, computed - 7) / 4);
    CHECK(static_cast<std::int64_t>(table.size()) * 4 >= computed + 8);
    desk.cache.commit(blocks, {}, tokens, computed + 8);
    desk.cache.check_invariants();
  }
  desk.cache.free(blocks);
}

TEST_CASE("a window hits with its last blocks alone, and not with one fewer") {
  // Full and window groups, blocks of 4, a window of 9: token 16 attends to 8 .. 15.
  Desk desk({.num_blocks = 64, .max_step_tokens = 4}, {group_of(4), group_of(4, 9)});
  const Tokens tokens = counting(0, 17);
  SequenceBlocks blocks;
  REQUIRE(desk.claim(blocks, tokens).value() == 0);
  for (std::int64_t computed = 0; computed < 16; computed += 4) {
    REQUIRE(desk.cache.allocate_slots(blocks, computed, computed + 4));
    desk.cache.commit(blocks, {}, tokens, computed + 4);
  }
  REQUIRE(desk.cache.allocate_slots(blocks, 16, 17));
  CHECK(blocks.table(1).first() == 2);
  desk.cache.free(blocks);

  SequenceBlocks again;
  REQUIRE(desk.claim(again, tokens).value() == 16);
  CHECK(again.table(0).first() == 0);
  CHECK(again.table(1).first() == 2);
  CHECK(again.table(1).blocks()[1] == kNoBlock);
  CHECK(again.table(1).blocks()[2] != kNoBlock);
  desk.cache.free(again);
}

TEST_CASE("one page of the window evicted: the hit is shorter, or none") {
  PrefixCache tree({.num_blocks = 16},
                   std::vector<GroupShape>{{.block_size = 4}, {.block_size = 4, .window = 9}});
  const Tokens tokens = counting(0, 16);
  NodeId node = tree.root({});
  for (std::int32_t i = 0; i < 4; ++i) {
    node = tree.child(node, std::span(tokens).subspan(static_cast<std::size_t>(i) * 4, 4));
    tree.put_page(node, 0, 0, BlockId{i});
    tree.put_page(node, 1, 0, BlockId{8 + i});
  }
  CHECK(tree.match({}, tokens, 16).num_tokens == 16);
  tree.forget(BlockId{8});  // out of the window
  tree.forget(BlockId{9});
  CHECK(tree.match({}, tokens, 16).num_tokens == 16);
  tree.forget(BlockId{10});  // 8 .. 11
  CHECK(tree.match({}, tokens, 16).num_tokens == 0);
  tree.forget(BlockId{3});
  CHECK(tree.match({}, tokens, 16).num_tokens == 0);
  for (std::int32_t i = 0; i < 16; ++i) tree.forget(BlockId{i});
  CHECK(tree.num_nodes() == 0);
}

TEST_CASE("groups of unequal blocks: a node is the largest of them") {
  Desk desk({.num_blocks = 64}, {group_of(2), group_of(8)});
  const Tokens tokens = counting(0, 24);
  CHECK(desk.cache.blocks_for(24) == 12 + 3);
  CHECK(desk.run(tokens) == 0);
  SequenceBlocks blocks;
  REQUIRE(desk.claim(blocks, counting(0, 13) + Tokens{99, 98}).value() == 13);
  // 8 tokens are shared; the 5 of the partly equal node are copied: 3 blocks and 1.
  REQUIRE(desk.cache.copies().size() == 4);
  CHECK(desk.cache.copies()[0].to == blocks.table(0).blocks()[4]);
  CHECK(desk.cache.copies()[2].to == blocks.table(0).blocks()[6]);
  CHECK(desk.cache.copies()[3].to == blocks.table(1).blocks()[1]);
  desk.cache.free(blocks);
  desk.cache.finish_copies();
}

TEST_CASE("a window block that two share is paid for by each, so that each can go on") {
  Desk desk({.num_blocks = 8, .max_step_tokens = 4}, {group_of(4, 5)});
  const Tokens tokens = counting(0, 9);
  SequenceBlocks a, b;
  desk.begin(a, tokens);
  REQUIRE(desk.cache.allocate_slots(a, 8, 9));
  const std::int32_t before = desk.cache.usage().free_blocks;
  REQUIRE(desk.claim(b, tokens).value() == 8);
  CHECK(desk.cache.usage().shared_debt == 1);
  CHECK(desk.cache.usage().free_blocks == before - b.num_held());
  desk.cache.free(a);
  CHECK(desk.cache.usage().shared_debt == 0);
  CHECK(desk.cache.usage().free_blocks == 8 - b.num_held());
  desk.cache.free(b);
}

TEST_CASE("latent pages are values like others") {
  const KvCacheSpec spec{
      .groups = {
          {.kind = AttentionKind::kLatent, .num_layers = 61, .num_kv_heads = 1, .head_dim = 576}}};
  CHECK(spec.bytes_per_token() == 61 * 576 * 2);
  KvCacheManager cache({.num_blocks = 4}, spec);
  CHECK(cache.blocks_for(33) == 3);
}

}  // namespace
}  // namespace quire::cache
