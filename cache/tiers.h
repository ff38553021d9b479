#pragma once
// Tiers: where the pages of a span are, off the device, and what should be read or written next.
//
// Decides and keeps the books of host memory; moves nothing: copies between device and host are
// part of the step's plan, those below are jobs of a LowerTier. One owner: the engine thread.
//
//   device --keep()--> host --poll()--> lower tier        (out: each span once, when it is full)
//   device <--ready()-- host <--request()-- lower tier    (in: when a sequence is about to start)
//
// 1. A slot that is read or written by anyone is held until that is done.
// 2. A ticket is pending until each of its reads has arrived or failed; whoever asked may forget
//    it: what arrives is found by its key by whoever needs it next.
// Cost: O(1) per span; allocates nothing after construction.

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "cache/lower_tier.h"
#include "cache/slot_index.h"
#include "cache/tier_cost.h"

namespace quire::cache {

// A bundle of reads from the lower tier; 0: none.
enum class ReadTicket : std::uint64_t {};
inline constexpr ReadTicket kNoTicket{0};

// Since start; spans, unless said otherwise.
struct TierStats {
  std::int64_t host_writes = 0;  // copied from the device
  std::int64_t host_reads = 0;   // copied to the device
  std::int64_t host_evictions = 0;
  std::int64_t lower_writes = 0;  // taken by the lower tier
  std::int64_t lower_write_failures = 0;
  std::int64_t lower_writes_lost = 0;  // evicted from host memory before the lower tier took them
  std::int64_t lower_reads = 0;        // arrived
  std::int64_t lower_misses = 0;
  std::int64_t lower_read_failures = 0;
  std::int64_t swaps_out = 0;   // preemptions of sequences whose pages a tier has
  std::int64_t swaps_in = 0;    // readmissions that read pages back
  std::int64_t recomputes = 0;  // readmissions that compute a whole span or more again
  std::int64_t declined = 0;    // reads that would have cost more than computing
};

// Each count with the name that others know it by.
struct TierCount {
  const char* name;
  const char* help;
  std::int64_t TierStats::*member;
};
inline constexpr std::array kTierCounts = {
    TierCount{"host_writes", "Spans copied from the device to host memory",
              &TierStats::host_writes},
    TierCount{"host_reads", "Spans copied from host memory to the device", &TierStats::host_reads},
    TierCount{"host_evictions", "Spans evicted from host memory", &TierStats::host_evictions},
    TierCount{"lower_writes", "Spans written to disk or remote", &TierStats::lower_writes},
    TierCount{"lower_write_failures", "Spans that could not be written there",
              &TierStats::lower_write_failures},
    TierCount{"lower_writes_lost", "Spans evicted before they could be written there",
              &TierStats::lower_writes_lost},
    TierCount{"lower_reads", "Spans read from disk or remote", &TierStats::lower_reads},
    TierCount{"lower_misses", "Spans asked for there and not found", &TierStats::lower_misses},
    TierCount{"lower_read_failures", "Spans that could not be read, or were wrong",
              &TierStats::lower_read_failures},
    TierCount{"swaps_out", "Preemptions of sequences whose pages a tier has",
              &TierStats::swaps_out},
    TierCount{"swaps_in", "Readmissions that read pages back", &TierStats::swaps_in},
    TierCount{"recomputes", "Readmissions that compute pages again", &TierStats::recomputes},
    TierCount{"reads_declined", "Reads not done because computing was cheaper",
              &TierStats::declined},
};

class Tiers final {
 public:
  // lower may be null; it outlives this.
  Tiers(std::int32_t num_host_slots, std::int32_t span_tokens, ReadPolicy policy, LowerTier* lower);

  [[nodiscard]] bool enabled() const { return host_.num_slots() > 0; }
  [[nodiscard]] std::int32_t span_tokens() const { return static_cast<std::int32_t>(span_); }
  [[nodiscard]] bool has_lower() const { return lower_ != nullptr; }
  void set_costs(const SpanCosts& costs) { costs_ = costs; }
  [[nodiscard]] bool worth_reading(bool lower) const {
    return cache::worth_reading(policy_, costs_, lower);
  }

  // The slot whose pages can be copied to the device; kNoBlock where there is none.
  [[nodiscard]] BlockId ready(const PageKey& key, std::span<const TokenId> tokens) const;
  // A slot for pages that the step will copy out; kNoBlock where they are there already or nothing
  // can make room. Ends with kept() or lost().
  [[nodiscard]] BlockId keep(const PageKey& key, std::span<const TokenId> tokens);
  void kept(BlockId slot);
  void lost(BlockId slot) { host_.failed(slot); }
  // The pages of this key, if any are here, are wrong.
  void discard(const PageKey& key, std::span<const TokenId> tokens);
  // A copy to the device begins and ends.
  void hold(BlockId slot);
  // Where the slot's pages came from; asked once: from then on they are host memory's.
  [[nodiscard]] PageSource take_source(BlockId slot) {
    return std::exchange(source_of_[static_cast<std::size_t>(slot)], PageSource::kHost);
  }
  void release(BlockId slot) { host_.release(slot); }

  // Reads the spans [first, last) of `keys` that the lower tier may have and host memory lacks, as
  // far as they follow each other. A ticket to wait for, or kNoTicket. `tokens` begins with span 0.
  [[nodiscard]] ReadTicket request(std::span<const PageKey> keys, std::span<const TokenId> tokens,
                                   std::size_t first, std::size_t last);
  [[nodiscard]] bool is_pending(ReadTicket ticket) const;
  // Takes what the lower tier reports, and gives it what is still to be written.
  void poll();
  // Nothing is to be written any more, and nothing is under way.
  [[nodiscard]] bool is_quiet() const { return jobs_under_way_ == 0 && !has_dirty(); }
  [[nodiscard]] bool has_dirty() const { return host_.first_dirty() != kNoBlock; }

  [[nodiscard]] TierStats stats() const;
  [[nodiscard]] TierStats& counters() { return stats_; }
  [[nodiscard]] const SlotIndex& host() const { return host_; }
  // num_copies: slots that the step under way copies from or to.
  void check_invariants(std::size_t num_copies) const;

 private:
  // As many bundles at once: more sequences than this wait for pages only one after another.
  static constexpr std::size_t kMaxTickets = 64;
  struct Bundle {
    ReadTicket ticket = kNoTicket;
    std::int32_t outstanding = 0;
  };
  [[nodiscard]] Bundle* bundle_of(ReadTicket ticket);
  [[nodiscard]] Bundle* free_bundle() { return bundle_of(kNoTicket); }
  [[nodiscard]] bool start_read(const PageKey& key, std::span<const TokenId> tokens,
                                ReadTicket ticket);
  void finish_read(const TierReport& report);

  SlotIndex host_;
  std::size_t span_;
  ReadPolicy policy_;
  LowerTier* lower_;
  SpanCosts costs_;
  std::array<Bundle, kMaxTickets> bundles_{};
  std::vector<ReadTicket> ticket_of_;  // [slot]: the bundle that brings its pages
  std::vector<PageSource> source_of_;  // [slot]
  std::uint64_t last_ticket_ = 0;
  std::int32_t jobs_under_way_ = 0;
  TierStats stats_;
};

}  // namespace quire::cache
