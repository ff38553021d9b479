#pragma once
// What the cache is made of. Filled by engine/load from the memory plan.

#include <array>
#include <cstdint>

#include "cache/tier_cost.h"

namespace quire::cache {

struct CacheOptions {
  // Pages in the pool; at least one. Everything is allocated at start.
  std::int32_t num_blocks = 1;
  // Whether a new sequence may begin on pages that others computed. Forks share in any case.
  bool enable_prefix_caching = true;
  // The most tokens of one sequence in one step: a group with a window holds its window and this
  // much, and no more.
  std::int32_t max_step_tokens = 512;
  // Keys the tree's hash, so that nobody outside can choose tokens that collide. The engine draws
  // one; a collision costs time and never an answer.
  std::uint64_t hash_seed = 0;
  // Bits of the hash that are used. Tests lower it to make collisions common.
  std::int32_t hash_bits = 64;
  // Children that are looked at for a partly equal span, the newest first: bounds the time that a
  // popular parent costs. Tests lower it to make popular parents common.
  std::int32_t max_candidates = 16;
  // Slots of the host tier, each as large as all pages of a node; 0: nothing is kept off the
  // device.
  std::int32_t num_host_slots = 0;
  // All that pages depend on beside tokens and salt: the beginning of every key (page_key.h).
  std::array<std::uint64_t, 4> tier_context = {};
  ReadPolicy read_policy = ReadPolicy::kCheaper;
};

}  // namespace quire::cache
