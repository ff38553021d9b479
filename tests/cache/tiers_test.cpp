// Tiers: the index of slots, what is held, read and written, and when reading is worth it.

#include "cache/kv_cache_manager.h"

#include <catch2/catch.hpp>
#include <deque>
#include <set>
#include <vector>

namespace quire::cache {
namespace {

struct Span {
  explicit Span(std::int32_t n) : tokens{n, n + 1}, key(child_key({}, tokens)) {}
  std::vector<TokenId> tokens;
  PageKey key;
};

// Three spans, each key made of all before it.
struct Prompt {
  Prompt() {
    for (std::size_t i = 0; i < 3; ++i) {
      keys.push_back(child_key(i == 0 ? PageKey{} : keys.back(), span(i)));
    }
  }
  [[nodiscard]] std::span<const TokenId> span(std::size_t i) const {
    return std::span(tokens).subspan(2 * i, 2);
  }
  std::vector<TokenId> tokens{1, 2, 3, 4, 5, 6};
  std::vector<PageKey> keys;
};

// Takes every job; the test says when and how they end.
struct HandTier final : LowerTier {
  bool may_have(const PageKey& key) override { return has.contains(key.words); }
  bool start(const TierJob& job) override {
    if (full) return false;
    jobs.push_back(job);
    return true;
  }
  std::optional<TierReport> next_report() override {
    if (reports.empty()) return std::nullopt;
    const TierReport report = reports.front();
    reports.pop_front();
    return report;
  }
  double seconds_per_read() const override { return 0.0; }
  void end_first(TierOutcome outcome) {
    reports.push_back({.kind = jobs.front().kind, .slot = jobs.front().slot, .outcome = outcome});
    if (outcome == TierOutcome::kDone) has.insert(jobs.front().key.words);
    jobs.pop_front();
  }
  std::set<std::array<std::uint64_t, 4>> has;
  std::deque<TierJob> jobs;
  std::deque<TierReport> reports;
  bool full = false;
};

}  // namespace

TEST_CASE("slots: the least recently used goes, and never one that is held") {
  SlotIndex index(3, 2);
  std::vector<BlockId> slots;
  for (int n = 0; n < 3; ++n) {
    slots.push_back(index.take(Span(n).key, Span(n).tokens));
    index.arrived(slots.back(), false);
  }
  index.touch(slots[0]);
  index.hold(slots[1]);
  const BlockId taken = index.take(Span(3).key, Span(3).tokens);
  CHECK((taken == slots[2]));
  CHECK((index.find(Span(2).key) == kNoBlock));
  CHECK((index.take(Span(4).key, Span(4).tokens) == slots[0]));
  CHECK((index.take(Span(5).key, Span(5).tokens) == kNoBlock));
  index.failed(taken);
  CHECK((index.take(Span(5).key, Span(5).tokens) == taken));
  CHECK((index.find(Span(1).key, Span(1).tokens) == slots[1]));
  CHECK((index.find(Span(1).key, Span(2).tokens) == kNoBlock));  // other tokens: not this one
  CHECK(index.num_evicted() == 2);
  index.check_invariants();
}

TEST_CASE("what is kept is written below once, and held until that is done") {
  HandTier lower;
  Tiers tiers(2, 2, ReadPolicy::kAlways, &lower);
  const Span a(1);
  const BlockId slot = tiers.keep(a.key, a.tokens);
  REQUIRE((slot != kNoBlock));
  CHECK((tiers.ready(a.key, a.tokens) == kNoBlock));  // its pages are on their way
  CHECK((tiers.keep(a.key, a.tokens) == kNoBlock));
  tiers.kept(slot);
  CHECK((tiers.ready(a.key, a.tokens) == slot));
  lower.full = true;
  tiers.poll();
  CHECK(tiers.has_dirty());
  lower.full = false;
  tiers.poll();
  REQUIRE(lower.jobs.size() == 1);
  // Two more spans find one free slot: the one that is being written is not given away.
  const BlockId other = tiers.keep(Span(5).key, Span(5).tokens);
  REQUIRE((other != kNoBlock));
  CHECK((other != slot));
  CHECK((tiers.keep(Span(9).key, Span(9).tokens) == kNoBlock));
  lower.end_first(TierOutcome::kDone);
  tiers.poll();
  CHECK(tiers.is_quiet());
  CHECK(tiers.stats().lower_writes == 1);
  tiers.lost(other);
  tiers.check_invariants(0);
}

TEST_CASE("reads: a ticket waits for all of them, whatever becomes of each") {
  HandTier lower;
  Tiers tiers(8, 2, ReadPolicy::kAlways, &lower);
  const Prompt prompt;
  CHECK((tiers.request(prompt.keys, prompt.tokens, 0, 3) == kNoTicket));  // nobody has them
  for (const PageKey& key : prompt.keys) lower.has.insert(key.words);
  const ReadTicket ticket = tiers.request(prompt.keys, prompt.tokens, 0, 3);
  REQUIRE((ticket != kNoTicket));
  REQUIRE(lower.jobs.size() == 3);
  CHECK((tiers.request(prompt.keys, prompt.tokens, 1, 3) ==
         ticket));  // whoever wants the same waits for the same
  lower.end_first(TierOutcome::kDone);
  lower.end_first(TierOutcome::kFailed);
  tiers.poll();
  CHECK(tiers.is_pending(ticket));
  tiers.check_invariants(0);
  lower.end_first(TierOutcome::kAbsent);
  tiers.poll();
  CHECK_FALSE(tiers.is_pending(ticket));
  CHECK((tiers.ready(prompt.keys[0], prompt.span(0)) != kNoBlock));
  CHECK((tiers.ready(prompt.keys[1], prompt.span(1)) == kNoBlock));
  CHECK(tiers.stats().lower_reads == 1);
  CHECK(tiers.stats().lower_read_failures == 1);
  CHECK(tiers.stats().lower_misses == 1);
  CHECK(tiers.is_quiet());
}

TEST_CASE("a span that is read does not take the place of another of its prompt") {
  HandTier lower;
  Tiers tiers(3, 2, ReadPolicy::kAlways, &lower);
  const Prompt prompt;
  const auto keep = [&](const PageKey& key, std::span<const TokenId> of) {
    tiers.kept(tiers.keep(key, of));
  };
  // The prompt's first and third span, then another's.
  keep(prompt.keys[0], prompt.span(0));
  keep(prompt.keys[2], prompt.span(2));
  keep(Span(9).key, Span(9).tokens);
  tiers.poll();
  for (int i = 0; i < 3; ++i) lower.end_first(TierOutcome::kDone);
  tiers.poll();
  lower.has.insert(prompt.keys[1].words);
  const std::size_t first = GENERATE(0u, 1u);
  REQUIRE((tiers.request(prompt.keys, prompt.tokens, first, 3) != kNoTicket));
  CHECK((tiers.ready(prompt.keys[0], prompt.span(0)) != kNoBlock));
  CHECK((tiers.ready(prompt.keys[2], prompt.span(2)) != kNoBlock));
  CHECK((tiers.ready(Span(9).key, Span(9).tokens) == kNoBlock));
  lower.end_first(TierOutcome::kDone);
  tiers.poll();
}

TEST_CASE("the cheaper of reading and computing") {
  const SpanCosts costs{.compute = 3.0, .read_host = 1.0, .read_lower = 2.5};
  CHECK(worth_reading(ReadPolicy::kCheaper, costs, false));
  CHECK_FALSE(worth_reading(ReadPolicy::kCheaper, costs, true));  // 3.5 against 3
  CHECK(worth_reading(ReadPolicy::kAlways, costs, true));
  CHECK_FALSE(worth_reading(ReadPolicy::kNever, costs, false));
  // What was never measured is tried.
  CHECK(worth_reading(ReadPolicy::kCheaper, {.compute = 3.0, .read_host = 1.0}, true));
  CHECK(worth_reading(ReadPolicy::kCheaper, {.read_host = 9.0, .read_lower = 9.0}, true));
}

TEST_CASE("a sequence that comes back reads its pages, and the copies are planned once") {
  const KvCacheSpec spec{
      .groups = {{.num_layers = 1, .num_kv_heads = 1, .head_dim = 8, .block_size = 2}}};
  KvCacheManager cache({.num_blocks = 4, .num_host_slots = 8}, spec);
  std::vector<TokenId> tokens{1, 2, 3, 4, 5, 6, 7};
  SequenceBlocks blocks, other;
  cache.make_room_in(blocks, 8);
  cache.make_room_in(other, 8);
  const Claim claim{.tokens = tokens, .max_reused = 6};
  REQUIRE((cache.claim(blocks, claim) == 0));
  cache.commit(blocks, {}, tokens, 7);
  REQUIRE(cache.copies_out().size() == 3);  // three full spans
  cache.preempt(blocks);
  CHECK(cache.tiers().stats().swaps_out == 1);
  cache.finish_copies();
  // Others take all blocks.
  std::vector<TokenId> theirs{9, 9, 9, 9, 9, 9, 9, 9};
  REQUIRE((cache.claim(other, {.tokens = theirs, .max_reused = 7}) == 0));
  cache.free(other);
  Claim again = claim;
  again.readmission = true;
  REQUIRE((cache.claim(blocks, again) == 6));
  REQUIRE(cache.copies().size() == 3);
  for (const BlockCopy& copy : cache.copies()) CHECK(copy.kind == CopyKind::kIn);
  cache.finish_copies();
  cache.commit(blocks, {}, tokens, 7);
  CHECK(cache.copies_out().empty());  // they are in the host tier already
  CHECK(cache.tiers().stats().swaps_in == 1);
  CHECK(cache.tiers().stats().host_reads == 3);
  CHECK(cache.stats().hit_tokens == 6);
  cache.check_invariants();
  cache.free(blocks);
}

TEST_CASE("what a step did not do is not in the host tier") {
  const KvCacheSpec spec{
      .groups = {{.num_layers = 1, .num_kv_heads = 1, .head_dim = 8, .block_size = 2}}};
  KvCacheManager cache({.num_blocks = 4, .num_host_slots = 8}, spec);
  std::vector<TokenId> tokens{1, 2, 3};
  SequenceBlocks blocks;
  cache.make_room_in(blocks, 8);
  REQUIRE(cache.claim(blocks, {.tokens = tokens, .max_reused = 2}).has_value());
  cache.commit(blocks, {}, tokens, 3);
  CHECK(cache.copies_out().size() == 1);
  cache.finish_copies(/*done=*/false);
  CHECK(cache.tiers().host().num_used() == 0);
  cache.free(blocks);
  cache.check_invariants();
}

}  // namespace quire::cache
