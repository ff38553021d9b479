#include "cache/block_pool.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

#include <deque>
#include <random>
#include <vector>

namespace quire::cache {
namespace {

BlockId block(std::int32_t i) { return BlockId{i}; }

TEST_CASE("block pool hands out every block once, then none") {
  BlockPool pool(3);
  for (std::int32_t i = 0; i < 3; ++i) {
    CHECK(pool.allocate() == block(i));
    CHECK(pool.ref_count(block(i)) == 1);
    pool.check_invariants();
  }
  CHECK(pool.num_free() == 0);
  CHECK(pool.allocate() == std::nullopt);
  pool.check_invariants();
  for (std::int32_t i = 0; i < 3; ++i) pool.release(block(i));
  CHECK(pool.num_free() == 3);
}

TEST_CASE("what was released first is reused first") {
  BlockPool pool(3);
  for (int i = 0; i < 3; ++i) CHECK(pool.allocate());
  for (const std::int32_t i : {1, 2, 0}) pool.release(block(i));
  for (const std::int32_t i : {1, 2, 0}) CHECK(pool.allocate() == block(i));
  for (const std::int32_t i : {0, 1, 2}) pool.release(block(i));
}

TEST_CASE("a block with two references is free after the second release") {
  BlockPool pool(2);
  const BlockId id = pool.allocate().value();
  pool.add_ref(id);
  pool.release(id);
  CHECK(pool.num_free() == 1);
  CHECK(pool.num_references() == 1);
  pool.release(id);
  CHECK(pool.num_free() == 2);
  pool.check_invariants();
}

TEST_CASE("a free block can be taken up again from the middle of the list") {
  BlockPool pool(4);
  pool.add_ref(block(2));
  CHECK(pool.num_free() == 3);
  pool.check_invariants();
  for (const std::int32_t i : {0, 1, 3}) CHECK(pool.allocate() == block(i));
  CHECK(pool.allocate() == std::nullopt);
  for (const std::int32_t i : {0, 1, 2, 3}) pool.release(block(i));
}

TEST_CASE("block pool agrees with a plain model over 20,000 random operations") {
  constexpr std::int32_t kBlocks = 17;
  BlockPool pool(kBlocks);
  std::deque<std::int32_t> free_list;
  std::vector<std::int32_t> references(kBlocks, 0);
  for (std::int32_t i = 0; i < kBlocks; ++i) free_list.push_back(i);
  std::mt19937 random(20261122);

  for (int step = 0; step < 20'000; ++step) {
    const auto any = static_cast<std::int32_t>(random() % kBlocks);
    switch (random() % 3) {
      case 0: {
        const std::optional<BlockId> got = pool.allocate();
        REQUIRE(got.has_value() == !free_list.empty());
        if (!got) break;
        REQUIRE(*got == block(free_list.front()));
        ++references[free_list.front()];
        free_list.pop_front();
        break;
      }
      case 1:
        pool.add_ref(block(any));
        if (references[any]++ == 0) std::erase(free_list, any);
        break;
      default:
        if (references[any] == 0) break;
        pool.release(block(any));
        if (--references[any] == 0) free_list.push_back(any);
    }
    pool.check_invariants();
    REQUIRE(pool.num_free() == static_cast<std::int32_t>(free_list.size()));
    REQUIRE(pool.ref_count(block(any)) == references[any]);
  }
  for (std::int32_t i = 0; i < kBlocks; ++i) {
    while (references[i]-- > 0) pool.release(block(i));
  }
}

}  // namespace
}  // namespace quire::cache
