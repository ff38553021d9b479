#pragma once
// What the cache is made of. Filled by engine/load from the memory plan.

#include <cstdint>

namespace quire::cache {

struct CacheOptions {
  // Pages in the pool; at least one. Everything is allocated at start.
  std::int32_t num_blocks = 1;
};

}  // namespace quire::cache
