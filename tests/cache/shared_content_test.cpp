// Random sequences over a shadow of the memory: whatever is reused holds what its reader would have
// computed, in every group, after copies, evictions and forks, with a hash of a few bits.

#include "cache/kv_cache_manager.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

#include <array>
#include <map>
#include <random>
#include <vector>

namespace quire::cache {
namespace {

using Content = std::uint64_t;

struct Reader {
  SequenceBlocks blocks;
  std::vector<TokenId> tokens;
  CacheRoot root;
  std::int64_t computed = 0;
  bool runs = false;
};

class Shadow final {
 public:
  Shadow(CacheOptions options, std::vector<KvGroupSpec> groups, unsigned seed)
      : options_(options), cache_(options, {.groups = std::move(groups)}), random_(seed) {}

  void step() {
    Reader& reader = readers_[random_() % readers_.size()];
    if (!reader.runs) {
      start(reader);
    } else if (random_() % 8 == 0 || reader.computed == std::ssize(reader.tokens)) {
      stop(reader);
    } else {
      compute(reader);
    }
    cache_.check_invariants();
    check_references();
  }
  void stop_all() {
    for (Reader& reader : readers_) stop(reader);
    const CacheUsage usage = cache_.usage();
    REQUIRE(usage.free_blocks == usage.total_blocks);
  }
  [[nodiscard]] const CacheStats& stats() const { return cache_.stats(); }

 private:
  void start(Reader& reader) {
    reader.tokens.clear();
    const auto size = 1 + random_() % 60;
    std::mt19937 story(random_() % 3);  // few beginnings
    const auto common = random_() % (size + 1);
    for (std::size_t i = 0; i < size; ++i) {
      reader.tokens.push_back(static_cast<TokenId>((i < common ? story() : random_()) % 3));
    }
    reader.root = {.salt = {.low = random_() % 2}, .adapter = 0};
    Reader& leader = readers_[random_() % readers_.size()];
    const bool forks = leader.runs && random_() % 2 == 0;
    if (forks) reader.tokens = leader.tokens, reader.root = leader.root;
    cache_.make_room_in(reader.blocks, 64);
    const std::int64_t size_now = std::ssize(reader.tokens);
    const auto reused =
        cache_.claim(reader.blocks, {.root = reader.root,
                                     .tokens = reader.tokens,
                                     .max_reused = size_now - 1,
                                     .promised_tokens = random_() % 4 == 0 ? size_now : 0,
                                     .leader = forks ? &leader.blocks : nullptr,
                                     .leader_tokens = forks ? leader.computed : 0});
    if (!reused) return;
    for (const BlockCopy& copy : cache_.copies()) memory_[copy.to] = memory_[copy.from];
    cache_.finish_copies();
    reader.runs = true;
    reader.computed = *reused;
    check_reads(reader);
  }

  void compute(Reader& reader) {
    const std::int64_t left = std::ssize(reader.tokens) - reader.computed;
    const std::int64_t end =
        reader.computed +
        std::min<std::int64_t>(left,
                               1 + random_() % static_cast<unsigned>(options_.max_step_tokens));
    if (!cache_.allocate_slots(reader.blocks, reader.computed, end)) {
      REQUIRE(reader.blocks.num_reserved() == 0);
      return stop(reader);
    }
    check_reads(reader);
    for (std::size_t g = 0; g < cache_.num_groups(); ++g) {
      for (std::int64_t at = reader.computed; at < end; ++at) {
        const BlockId block = block_of(reader, g, at);
        REQUIRE(cache_.ref_count(block) == 1);  // a shared block is never written
        REQUIRE_FALSE(cache_.is_cached(block));
        memory_[block][static_cast<std::size_t>(at % size_of(g))] = content(reader, g, at);
      }
    }
    reader.computed = end;
    check_reads(reader);
    cache_.commit(reader.blocks, reader.root, reader.tokens, end);
    check_reads(reader);
  }

  void stop(Reader& reader) {
    cache_.free(reader.blocks);
    reader.runs = false;
  }

  // All that the next token attends to.
  void check_reads(const Reader& reader) {
    for (std::size_t g = 0; g < cache_.num_groups(); ++g) {
      const KvGroupSpec& group = cache_.spec().groups[g];
      const bool slides = group.kind == AttentionKind::kSlidingWindow;
      const std::int64_t first =
          slides ? std::max<std::int64_t>(0, reader.computed - group.window + 1) : 0;
      for (std::int64_t at = first; at < reader.computed; ++at) {
        const BlockId block = block_of(reader, g, at);
        REQUIRE(block != kNoBlock);
        REQUIRE(memory_[block][static_cast<std::size_t>(at % size_of(g))] ==
                content(reader, g, at));
      }
    }
  }

  void check_references() {
    std::map<BlockId, int> references;
    for (const Reader& reader : readers_) {
      if (!reader.runs) continue;
      for (std::size_t g = 0; g < cache_.num_groups(); ++g) {
        for (const BlockId block : reader.blocks.table(g).blocks()) {
          if (block != kNoBlock) ++references[block];
        }
      }
    }
    for (std::int32_t i = 0; i < options_.num_blocks; ++i) {
      const auto found = references.find(BlockId{i});
      REQUIRE(cache_.ref_count(BlockId{i}) == (found == references.end() ? 0 : found->second));
    }
  }

  std::int64_t size_of(std::size_t group) const { return cache_.spec().groups[group].block_size; }
  BlockId block_of(const Reader& reader, std::size_t group, std::int64_t position) const {
    return reader.blocks.table(group).blocks()[static_cast<std::size_t>(position / size_of(group))];
  }
  // A hash of all that the keys and values of a position depend on.
  static Content content(const Reader& reader, std::size_t group, std::int64_t position) {
    Content hash = reader.root.salt.low * 31 + group + 1;
    for (std::int64_t i = 0; i <= position; ++i) {
      hash = (hash ^ static_cast<Content>(reader.tokens[static_cast<std::size_t>(i)] + 1)) *
             0x100000001B3u;
    }
    return hash;
  }

  CacheOptions options_;
  KvCacheManager cache_;
  std::mt19937 random_;
  std::array<Reader, 6> readers_;
  std::map<BlockId, std::array<Content, 16>> memory_;
};

KvGroupSpec group_of(std::int32_t block_size, std::int32_t window) {
  return {.kind = window > 0 ? AttentionKind::kSlidingWindow : AttentionKind::kFull,
          .num_layers = 1,
          .num_kv_heads = 1,
          .head_dim = 8,
          .window = window,
          .block_size = block_size};
}

TEST_CASE("whatever is reused is what would have been computed") {
  const std::vector<std::vector<KvGroupSpec>> shapes = {
      {group_of(4, 0)},
      {group_of(1, 0)},
      {group_of(4, 5)},
      {group_of(2, 0), group_of(4, 6)},
      {group_of(4, 0), group_of(4, 1), group_of(2, 9)},
      {group_of(8, 3), group_of(2, 11)},
  };
  unsigned seed = 1;
  for (const auto& shape : shapes) {
    for (const std::int32_t num_blocks : {20, 60, 200}) {
      CAPTURE(seed, num_blocks, shape.size());
      Shadow shadow({.num_blocks = num_blocks, .max_step_tokens = 7, .hash_bits = 4}, shape,
                    ++seed);
      for (int i = 0; i < 4000; ++i) shadow.step();
      CHECK(shadow.stats().hits > 10);
      // Where a block is a token, whatever a leader has is in the tree as well.
      if (shape[0].block_size > 1) CHECK(shadow.stats().forks > 0);
      CHECK(shadow.stats().evictions > 0);
      shadow.stop_all();
    }
  }
}

}  // namespace
}  // namespace quire::cache
