// What the cache costs: nanoseconds per block for allocate + free and for match_prefix, in a small
// and in a large pool, and microseconds for schedule() + update() with 256 running sequences.
//
//   bench_cache          prints; exit status 0. Measure on a quiet machine.
// Each figure is the median of several rounds. The pools are warm: every block was used before, and
// in the large one neither blocks nor nodes fit the processor's caches.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "cache/kv_cache_manager.h"
#include "scheduler/scheduler.h"

namespace quire {
namespace {

using cache::KvCacheManager;
using cache::SequenceBlocks;

constexpr std::int32_t kBlockSize = 16;

cache::KvCacheSpec spec() {
  return {
      .groups = {{.num_layers = 1, .num_kv_heads = 1, .head_dim = 8, .block_size = kBlockSize}}};
}

double median(std::vector<double> figures) {
  const auto middle = figures.begin() + static_cast<std::ptrdiff_t>(figures.size() / 2);
  std::nth_element(figures.begin(), middle, figures.end());
  return *middle;
}

double median_ns(int rounds, const std::function<std::int64_t()>& round) {
  std::vector<double> figures;
  for (int i = 0; i < rounds; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const std::int64_t items = round();
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - begin;
    figures.push_back(taken.count() / static_cast<double>(items));
  }
  return median(std::move(figures));
}

// Sequences of 64 blocks each, with prompts of their own, that fill nine tenths of the pool.
class Pool final {
 public:
  explicit Pool(std::int32_t num_blocks)
      : cache_({.num_blocks = num_blocks}, spec()),
        num_sequences_(static_cast<std::size_t>(num_blocks) * 9 / 10 / kBlocksPerSequence),
        blocks_(num_sequences_),
        order_(num_sequences_) {
    std::mt19937 random(1);
    for (std::size_t i = 0; i < num_sequences_; ++i) {
      order_[i] = i;
      cache_.make_room_in(blocks_[i], kTokens);
    }
    std::shuffle(order_.begin(), order_.end(), random);
    tokens_.resize(num_sequences_ * kTokens);
    for (TokenId& token : tokens_) token = static_cast<TokenId>(random() % 50'000);
  }

  // Blocks given and taken back in random order, none of them committed.
  std::int64_t allocate_and_free() {
    for (std::size_t i = 0; i < num_sequences_; ++i) claim(i, 0);
    for (const std::size_t i : order_) cache_.free(blocks_[i]);
    return num_sequences();
  }
  // The same with every block entering the tree, and evicting what was there.
  std::int64_t fill_tree() {
    for (std::size_t i = 0; i < num_sequences_; ++i) {
      claim(i, 0);
      cache_.commit(blocks_[i], {}, tokens_of(i), kTokens);
    }
    for (const std::size_t i : order_) cache_.free(blocks_[i]);
    return num_sequences();
  }
  // Whole prompts found again, in random order: looked up, taken and given back.
  std::int64_t match() {
    for (const std::size_t i : order_) {
      claim(i, kTokens - 1);
      cache_.free(blocks_[i]);
      cache_.finish_copies();
    }
    return num_sequences();
  }
  [[nodiscard]] const cache::CacheStats& stats() const { return cache_.stats(); }

 private:
  static constexpr std::size_t kBlocksPerSequence = 64;
  static constexpr std::size_t kTokens = kBlocksPerSequence * kBlockSize;

  [[nodiscard]] std::int64_t num_sequences() const {
    return static_cast<std::int64_t>(num_sequences_ * kBlocksPerSequence);
  }
  [[nodiscard]] std::span<const TokenId> tokens_of(std::size_t i) const {
    return std::span(tokens_).subspan(i * kTokens, kTokens);
  }
  void claim(std::size_t i, std::int64_t max_reused) {
    const auto reused =
        cache_.claim(blocks_[i], {.tokens = tokens_of(i), .max_reused = max_reused});
    if (!reused || *reused < max_reused) std::abort();
  }

  KvCacheManager cache_;
  std::size_t num_sequences_;
  std::vector<SequenceBlocks> blocks_;
  std::vector<std::size_t> order_;
  std::vector<TokenId> tokens_;
};

void bench_pool(std::int32_t num_blocks) {
  const std::int64_t repeat = std::max(1, 1'000'000 / num_blocks);
  Pool pool(num_blocks);
  const auto repeated = [&](std::int64_t (Pool::*work)()) {
    return [&pool, repeat, work] {
      std::int64_t blocks = 0;
      for (std::int64_t i = 0; i < repeat; ++i) blocks += (pool.*work)();
      return blocks;
    };
  };
  const double plain = median_ns(5, repeated(&Pool::allocate_and_free));
  const double tree = median_ns(5, repeated(&Pool::fill_tree));
  const double match = median_ns(5, repeated(&Pool::match));
  std::printf(
      "%9d blocks: allocate + free %6.1f ns, with commit %6.1f, match + take + free %6.1f "
      "per block (%lld hits)\n",
      num_blocks, plain, tree, match, static_cast<long long>(pool.stats().hits));
}

void bench_steps(bool prefix_caching) {
  constexpr std::int32_t kSequences = 256, kSteps = 512;
  KvCacheManager cache({.num_blocks = 16'384, .enable_prefix_caching = prefix_caching}, spec());
  scheduler::Scheduler scheduler({.max_num_seqs = kSequences,
                                  .max_num_batched_tokens = 512,
                                  .max_model_len = 1024,
                                  .eos_token_ids = {}},
                                 cache);
  std::mt19937 random(2);
  for (std::int32_t i = 0; i < kSequences; ++i) {
    auto sequence = std::make_unique<scheduler::Sequence>();
    sequence->id = SequenceId{static_cast<std::uint64_t>(i) + 1};
    sequence->params.max_tokens = 800;
    sequence->num_prompt_tokens = 1 + i % 32;
    for (std::int32_t t = 0; t < sequence->num_prompt_tokens; ++t) {
      sequence->tokens.push_back(static_cast<TokenId>(random() % 50'000));
    }
    scheduler.add(std::move(sequence));
  }
  scheduler::StepPlan plan;
  scheduler::StepOutput output;
  std::vector<scheduler::TokenEvent> events;
  scheduler.reserve(plan, events);
  using Microseconds = std::chrono::duration<double, std::micro>;
  std::vector<double> schedule, update;
  for (std::int32_t step = 0; step < kSteps + 32; ++step) {
    const auto begin = std::chrono::steady_clock::now();
    events.clear();
    scheduler.schedule({}, plan, events);
    const auto planned = std::chrono::steady_clock::now();
    output.clear();
    output.step_id = plan.step_id;
    output.copies_completed = static_cast<std::int32_t>(plan.copies.size());
    for (std::size_t i = 0; i < plan.samples.size(); ++i) {
      output.samples.push_back({.token_begin = static_cast<std::int32_t>(i), .num_tokens = 1});
      output.tokens.push_back({.token = static_cast<TokenId>(random() % 50'000)});
    }
    const auto answered = std::chrono::steady_clock::now();
    scheduler.update(plan, output, events);
    if (plan.rows.size() != kSequences || step < 32) continue;
    schedule.push_back(Microseconds(planned - begin).count());
    update.push_back(Microseconds(std::chrono::steady_clock::now() - answered).count());
  }
  const double plan_us = median(schedule), update_us = median(update);
  std::printf(
      "256 running, prefix cache %s: schedule %.1f us, update %.1f us, together %.1f us "
      "(median of %zu steps, contexts 32 to 576)\n",
      prefix_caching ? "on " : "off", plan_us, update_us, plan_us + update_us, schedule.size());
}

}  // namespace
}  // namespace quire

int main() {
  quire::bench_pool(1'000);
  quire::bench_pool(1'000'000);
  quire::bench_steps(false);
  quire::bench_steps(true);
  return 0;
}
