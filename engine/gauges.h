#pragma once
// Gauges: what other threads may see of the engine loop. Relaxed: each is a number on its own.

#include <array>
#include <atomic>
#include <cstdint>

#include "cache/kv_cache_manager.h"
#include "engine/heartbeat.h"
#include "scheduler/scheduler.h"

namespace quire::engine {

struct Gauges {
  std::atomic<bool> alive{false};
  std::atomic<bool> warm{false};
  std::atomic<bool> idle{false};
  Heartbeat heartbeat;
  std::atomic<std::int32_t> running{0}, waiting{0}, free_blocks{0}, total_blocks{0};
  std::atomic<std::int64_t> steps{0}, preemptions{0}, prompt_tokens{0}, generation_tokens{0};
  std::atomic<std::int64_t> accepted{0}, finished{0}, stopped{0}, aborted{0}, failed{0};
  std::atomic<double> tokens_per_second{0.0};
  std::atomic<std::int64_t> queried_tokens{0}, hit_tokens{0}, hits{0}, partial_hits{0}, forks{0};
  std::atomic<std::int64_t> copies{0}, evictions{0}, joined_blocks{0};

  // Differs whenever a block may have changed hands.
  [[nodiscard]] std::uint64_t changes() const {
    return static_cast<std::uint64_t>(steps + accepted + finished + aborted + failed);
  }

  std::atomic<std::int32_t> host_slots_used{0};
  std::array<std::atomic<std::int64_t>, cache::kTierCounts.size()> tier_counts{};

  void publish(const cache::Tiers& tiers) {
    const cache::TierStats stats = tiers.stats();
    for (std::size_t i = 0; i < tier_counts.size(); ++i) {
      tier_counts[i].store(stats.*cache::kTierCounts[i].member, std::memory_order_relaxed);
    }
    host_slots_used.store(tiers.host().num_used(), std::memory_order_relaxed);
  }
  [[nodiscard]] cache::TierStats tier_stats() const {
    cache::TierStats stats;
    for (std::size_t i = 0; i < tier_counts.size(); ++i) {
      stats.*cache::kTierCounts[i].member = tier_counts[i];
    }
    return stats;
  }
  std::array<std::atomic<std::int64_t>, cache::kMaxGroups> slots_held{}, slots_wasted{};

  void publish(const scheduler::SlotCounts& counts) {
    for (std::size_t g = 0; g < counts.num_groups; ++g) {
      slots_held[g].store(counts.held[g], std::memory_order_relaxed);
      slots_wasted[g].store(counts.wasted[g], std::memory_order_relaxed);
    }
  }
  void publish(const cache::CacheStats& stats) {
    constexpr auto kRelaxed = std::memory_order_relaxed;
    queried_tokens.store(stats.queried_tokens, kRelaxed);
    hit_tokens.store(stats.hit_tokens, kRelaxed);
    hits.store(stats.hits, kRelaxed);
    partial_hits.store(stats.partial_hits, kRelaxed);
    forks.store(stats.forks, kRelaxed);
    copies.store(stats.copies, kRelaxed);
    evictions.store(stats.evictions, kRelaxed);
    joined_blocks.store(stats.joined_blocks, kRelaxed);
  }
  [[nodiscard]] cache::CacheStats cache_stats() const {
    return {.queried_tokens = queried_tokens,
            .hit_tokens = hit_tokens,
            .hits = hits,
            .partial_hits = partial_hits,
            .forks = forks,
            .copies = copies,
            .evictions = evictions,
            .joined_blocks = joined_blocks};
  }
};

}  // namespace quire::engine
