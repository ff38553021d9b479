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

std::vector<BlockId> blocks_of(const BlockTable& table) {
  return {table.blocks().begin(), table.blocks().end()};
}

TEST_CASE("blocks for a number of tokens, at the edges") {
  KvCacheManager cache({.num_blocks = 4}, spec_of(16));
  CHECK(cache.blocks_for(0) == 0);
  CHECK(cache.blocks_for(1) == 1);
  CHECK(cache.blocks_for(16) == 1);
  CHECK(cache.blocks_for(17) == 2);
  CHECK(cache.blocks_for(std::int64_t{1} << 40) == std::int64_t{1} << 36);
}

TEST_CASE("a table grows only at the edge of a block") {
  KvCacheManager cache({.num_blocks = 4}, spec_of(4));
  BlockTable table;
  std::int32_t none = 0;
  for (std::int64_t tokens = 1; tokens <= 16; ++tokens) {
    REQUIRE(cache.allocate_slots(table, tokens, none));
    CHECK(static_cast<std::int64_t>(table.size()) == (tokens + 3) / 4);
  }
  CHECK(cache.usage().free_blocks == 0);
  CHECK_FALSE(cache.allocate_slots(table, 17, none));
  CHECK(table.size() == 4);
  cache.free(table);
  CHECK(cache.usage().free_blocks == 4);
  cache.check_invariants();
}

TEST_CASE("allocation is all or nothing") {
  KvCacheManager cache({.num_blocks = 3}, spec_of(4));
  BlockTable first, second;
  std::int32_t none = 0;
  REQUIRE(cache.allocate_slots(first, 8, none));
  CHECK_FALSE(cache.allocate_slots(second, 8, none));
  CHECK(second.size() == 0);
  CHECK(cache.usage().free_blocks == 1);
  cache.check_invariants();
  cache.free(first);
}

TEST_CASE("a sequence's tail is evicted before its head") {
  KvCacheManager cache({.num_blocks = 3}, spec_of(4));
  BlockTable first, second;
  std::int32_t none = 0;
  REQUIRE(cache.allocate_slots(first, 12, none));
  std::vector<BlockId> expected = blocks_of(first);
  std::reverse(expected.begin(), expected.end());
  cache.free(first);
  REQUIRE(cache.allocate_slots(second, 12, none));
  CHECK(blocks_of(second) == expected);
  cache.free(second);
}

TEST_CASE("reserved blocks are for the one who reserved them") {
  KvCacheManager cache({.num_blocks = 4}, spec_of(4));
  BlockTable owner, other;
  std::int32_t reservation = 3, none = 0;
  REQUIRE(cache.reserve(3));
  CHECK_FALSE(cache.reserve(2));
  CHECK(cache.usage().free_blocks == 1);
  CHECK(cache.usage().reserved_blocks == 3);

  REQUIRE(cache.allocate_slots(other, 4, none));
  CHECK_FALSE(cache.allocate_slots(other, 5, none));
  REQUIRE(cache.allocate_slots(owner, 5, reservation));
  CHECK(reservation == 1);
  CHECK(cache.usage().reserved_blocks == 1);
  CHECK_FALSE(cache.allocate_slots(owner, 16, reservation));
  CHECK(reservation == 1);
  cache.check_invariants();

  cache.free(owner);
  cache.release_reservation(reservation);
  cache.free(other);
  CHECK(cache.usage().free_blocks == 4);
  cache.check_invariants();
}

TEST_CASE("beyond its reservation a table draws on what is free") {
  KvCacheManager cache({.num_blocks = 4}, spec_of(1));
  BlockTable table;
  std::int32_t reservation = 2;
  REQUIRE(cache.reserve(2));
  REQUIRE(cache.allocate_slots(table, 3, reservation));
  CHECK(reservation == 0);
  CHECK(cache.usage().free_blocks == 1);
  cache.free(table);
}

TEST_CASE("20,000 random operations on 8 tables never share or lose a block") {
  constexpr std::int32_t kBlocks = 40;
  KvCacheManager cache({.num_blocks = kBlocks}, spec_of(4));
  std::array<BlockTable, 8> tables;
  std::array<std::int32_t, 8> reservations{};
  std::mt19937 random(7);

  for (int step = 0; step < 20'000; ++step) {
    const std::size_t i = random() % tables.size();
    switch (random() % 4) {
      case 0:
      case 1: {
        const std::int64_t tokens = 4 * static_cast<std::int64_t>(tables[i].size()) + random() % 24;
        const CacheUsage before = cache.usage();
        const std::int64_t missing =
            cache.blocks_for(tokens) - static_cast<std::int64_t>(tables[i].size());
        const bool fits = missing <= before.free_blocks + reservations[i];
        REQUIRE(cache.allocate_slots(tables[i], tokens, reservations[i]) == fits);
        break;
      }
      case 2:
        cache.free(tables[i]);
        cache.release_reservation(reservations[i]);
        reservations[i] = 0;
        break;
      default: {
        const auto wanted = static_cast<std::int32_t>(random() % 4);
        if (cache.reserve(wanted)) reservations[i] += wanted;
      }
    }
    cache.check_invariants();
    std::vector<BlockId> held;
    for (const BlockTable& table : tables) {
      held.insert(held.end(), table.blocks().begin(), table.blocks().end());
    }
    std::sort(held.begin(), held.end());
    REQUIRE(std::adjacent_find(held.begin(), held.end()) == held.end());
    const CacheUsage usage = cache.usage();
    REQUIRE(static_cast<std::int32_t>(held.size()) + usage.free_blocks + usage.reserved_blocks ==
            kBlocks);
  }
  for (BlockTable& table : tables) cache.free(table);
  for (const std::int32_t reservation : reservations) cache.release_reservation(reservation);
  CHECK(cache.usage().free_blocks == kBlocks);
}

}  // namespace
}  // namespace quire::cache
