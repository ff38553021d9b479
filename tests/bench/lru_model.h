#pragma once
// What a prefix cache could reach on a trace, without any of the product's code: a least recently
// used cache of blocks, and the clairvoyant one (Belady 1966), which knows every later use.
//
// A request is the ids of its blocks from the first on; an id always follows the same id. A block
// hits where it and all before it are there. Both count blocks; pure functions.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quire::bench {

using Requests = std::vector<std::vector<std::int32_t>>;

// Hits of a cache of `capacity` blocks; a request's first blocks count as used last.
[[nodiscard]] std::int64_t lru_hits(const Requests& requests, std::size_t capacity);

// The most hits that any cache of `capacity` blocks can have: after each request it keeps the
// blocks that are used again soonest.
[[nodiscard]] std::int64_t belady_hits(const Requests& requests, std::size_t capacity);

}  // namespace quire::bench
