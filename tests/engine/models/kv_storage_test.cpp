#include "engine/kv_storage.h"

#include <algorithm>
#include <cstring>

#include "tests/engine/models/support.h"

// After our headers: Catch's CHECK is the one that holds here.
#include <catch2/catch.hpp>

namespace quire::engine {
namespace {

cache::KvCacheSpec spec_of(std::int32_t layers, std::int32_t heads, std::int32_t dim) {
  return {.groups = {{.kind = cache::AttentionKind::kFull,
                      .num_layers = layers,
                      .num_kv_heads = heads,
                      .head_dim = dim,
                      .window = 0,
                      .block_size = 16,
                      .dtype = DType::kBFloat16}}};
}

bool all_zero(const std::byte* begin, std::int64_t bytes) {
  return std::all_of(begin, begin + bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

TEST_CASE("kv storage: pages are whole, layers lie one after the other inside them") {
  const auto backend = make_reference_backend();
  const cache::KvCacheSpec spec = spec_of(3, 2, 8);
  const KvStorage storage(*backend, spec, 5);
  CHECK(storage.page_bytes() == spec.page_bytes());
  CHECK(storage.page_bytes() % cache::kPageAlignment == 0);
  CHECK(storage.page(BlockId{4}) - storage.page(BlockId{0}) == 4 * storage.page_bytes());
  const KvLayer last = storage.layer(0, 2);
  CHECK(last.pool == storage.page(BlockId{0}));
  CHECK(last.part_bytes == 16 * 2 * 8 * 2);
  CHECK(last.layer_offset == 2 * 2 * last.part_bytes);
  CHECK(last.layer_offset + 2 * last.part_bytes <= storage.page_bytes());
  CHECK(last.block_size == 16);
  CHECK(all_zero(storage.page(BlockId{0}), 5 * storage.page_bytes()));
}

TEST_CASE("kv storage: touching takes the memory and changes nothing") {
  const auto backend = make_reference_backend();
  const cache::KvCacheSpec spec = spec_of(4, 4, 64);  // 64 KiB a page
  constexpr std::int64_t kBlocks = 1024;              // 64 MiB
  const std::int64_t before = test::resident_bytes();
  KvStorage storage(*backend, spec, kBlocks);
  storage.touch(8 << 20);
  CHECK(test::resident_bytes() - before >= (7 << 20));
  // Writes of the engine thread while the background thread touches are not lost.
  for (std::int64_t i = 0; i < kBlocks; ++i) {
    const BlockId block{static_cast<std::int32_t>(kBlocks - 1 - i)};
    std::memset(storage.page(block), static_cast<int>(i % 255) + 1, 64);
  }
  for (int wait = 0; wait < 1000 && test::resident_bytes() - before < (60 << 20); ++wait) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(test::resident_bytes() - before >= (60 << 20));
  for (std::int64_t i = 0; i < kBlocks; ++i) {
    const std::byte* page = storage.page(BlockId{static_cast<std::int32_t>(kBlocks - 1 - i)});
    REQUIRE(std::to_integer<int>(page[63]) == static_cast<int>(i % 255) + 1);
    REQUIRE(page[64] == std::byte{0});
  }
}

TEST_CASE("kv storage: the background thread is joined at any moment") {
  const auto backend = make_reference_backend();
  const cache::KvCacheSpec spec = spec_of(4, 4, 64);
  for (int i = 0; i < 20; ++i) {
    KvStorage storage(*backend, spec, 512);
    storage.touch(i % 2 == 0 ? 0 : std::int64_t{1} << 40);
  }
  KvStorage untouched(*backend, spec, 4);
}

TEST_CASE("kv storage: a size that cannot be is refused") {
  const auto backend = make_reference_backend();
  const cache::KvCacheSpec spec = spec_of(4, 4, 64);
  for (const std::int64_t blocks : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 62}) {
    CHECK_FALSE(test::startup_error_of([&] { KvStorage storage(*backend, spec, blocks); }).empty());
  }
}

}  // namespace quire::engine
