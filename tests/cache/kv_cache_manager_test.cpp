// Slots, promises and giving back, without the prefix tree (prefix_cache_test.cpp has that).

#include "cache/kv_cache_manager.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

#include <algorithm>
#include <array>
#include <random>
#include <vector>

namespace quire::cache {
namespace {

KvCacheSpec spec_of(std::int32_t block_size) {
  return {
      .groups = {{.num_layers = 1, .num_kv_heads = 1, .head_dim = 8, .block_size = block_size}}};
}

std::vector<BlockId> blocks_of(const SequenceBlocks& blocks) {
  const auto ids = blocks.table(0).blocks();
  return {ids.begin(), ids.end()};
}

// A sequence of `size` tokens, of which `promised` (0: none) are promised.
bool start(KvCacheManager& cache, SequenceBlocks& blocks, std::size_t size,
           std::int64_t promised = 0) {
  cache.make_room_in(blocks, 1024);
  const std::vector<TokenId> tokens(size, 7);
  return cache.claim(blocks, {.tokens = tokens, .promised_tokens = promised}).has_value();
}

TEST_CASE("blocks for a number of tokens, at the edges") {
  KvCacheManager cache({.num_blocks = 4}, spec_of(16));
  CHECK(cache.blocks_for(0) == 0);
  CHECK(cache.blocks_for(1) == 1);
  CHECK(cache.blocks_for(16) == 1);
  CHECK(cache.blocks_for(17) == 2);
  CHECK(cache.blocks_for(std::int64_t{1} << 40) == std::int64_t{1} << 36);
  CHECK(cache.max_tokens() == 64);
}

TEST_CASE("a table grows only at the edge of a block") {
  KvCacheManager cache({.num_blocks = 4}, spec_of(4));
  SequenceBlocks blocks;
  REQUIRE(start(cache, blocks, 1));
  for (std::int64_t tokens = 1; tokens <= 16; ++tokens) {
    REQUIRE(cache.allocate_slots(blocks, 0, tokens));
    CHECK(blocks.num_held() == (tokens + 3) / 4);
  }
  CHECK(cache.usage().free_blocks == 0);
  CHECK_FALSE(cache.allocate_slots(blocks, 0, 17));
  CHECK(blocks.num_held() == 4);
  cache.free(blocks);
  CHECK(cache.usage().free_blocks == 4);
  cache.check_invariants();
}

TEST_CASE("a claim is all or nothing") {
  KvCacheManager cache({.num_blocks = 3}, spec_of(4));
  SequenceBlocks first, second;
  REQUIRE(start(cache, first, 8));
  CHECK_FALSE(start(cache, second, 8));
  CHECK(second.num_held() == 0);
  CHECK(cache.usage().free_blocks == 1);
  cache.check_invariants();
  cache.free(first);
}

TEST_CASE("promised blocks are for the one to whom they were promised") {
  KvCacheManager cache({.num_blocks = 4}, spec_of(4));
  SequenceBlocks owner, other, third;
  REQUIRE(start(cache, owner, 1, 12));
  CHECK(cache.usage().free_blocks == 1);
  CHECK(cache.usage().reserved_blocks == 2);
  CHECK_FALSE(start(cache, third, 1, 8));

  REQUIRE(start(cache, other, 4));
  CHECK_FALSE(cache.allocate_slots(other, 4, 5));
  REQUIRE(cache.allocate_slots(owner, 1, 8));
  CHECK(cache.usage().reserved_blocks == 1);
  CHECK_FALSE(cache.allocate_slots(owner, 8, 16));
  REQUIRE(cache.allocate_slots(owner, 8, 12));
  CHECK(cache.usage().reserved_blocks == 0);
  cache.check_invariants();

  cache.free(owner);
  cache.free(other);
  CHECK(cache.usage().free_blocks == 4);
  cache.check_invariants();
}

TEST_CASE("beyond its promise a sequence draws on what is free") {
  KvCacheManager cache({.num_blocks = 4}, spec_of(1));
  SequenceBlocks blocks;
  REQUIRE(start(cache, blocks, 1, 2));
  REQUIRE(cache.allocate_slots(blocks, 0, 3));
  CHECK(cache.usage().reserved_blocks == 0);
  CHECK(cache.usage().free_blocks == 1);
  cache.free(blocks);
}

TEST_CASE("20,000 random operations on 8 sequences never share or lose a block") {
  constexpr std::int32_t kBlocks = 40;
  KvCacheManager cache({.num_blocks = kBlocks, .enable_prefix_caching = false}, spec_of(4));
  std::array<SequenceBlocks, 8> all;
  std::mt19937 random(7);

  for (int step = 0; step < 20'000; ++step) {
    SequenceBlocks& blocks = all[random() % all.size()];
    const CacheUsage before = cache.usage();
    const auto tokens = static_cast<std::int64_t>(1 + random() % 24);
    if (blocks.num_held() == 0) {
      const auto promised = random() % 3 == 0 ? static_cast<std::int64_t>(random() % 40) : 0;
      const std::int64_t needed = std::max(cache.blocks_for(tokens), cache.blocks_for(promised));
      REQUIRE(start(cache, blocks, static_cast<std::size_t>(tokens), promised) ==
              (needed <= before.free_blocks));
    } else if (random() % 3 == 0) {
      cache.free(blocks);
    } else {
      const std::int64_t size = 4 * blocks.num_held() + tokens;
      const std::int64_t missing = cache.blocks_for(size) - blocks.num_held();
      const bool fits = missing <= before.free_blocks + blocks.num_reserved();
      REQUIRE(cache.allocate_slots(blocks, 0, size) == fits);
    }
    cache.check_invariants();
    std::vector<BlockId> held;
    for (const SequenceBlocks& other : all) {
      if (other.num_held() == 0) continue;
      const std::vector<BlockId> ids = blocks_of(other);
      held.insert(held.end(), ids.begin(), ids.end());
    }
    std::sort(held.begin(), held.end());
    REQUIRE(std::adjacent_find(held.begin(), held.end()) == held.end());
    const CacheUsage usage = cache.usage();
    REQUIRE(static_cast<std::int32_t>(held.size()) + usage.free_blocks + usage.reserved_blocks ==
            kBlocks);
  }
  for (SequenceBlocks& blocks : all) cache.free(blocks);
  CHECK(cache.usage().free_blocks == kBlocks);
}

}  // namespace
}  // namespace quire::cache
