#pragma once
// TierCounters: what a store below host memory did since start. Written by the tier thread, read by
// any; relaxed: each is a number on its own.

#include <atomic>
#include <cstdint>

namespace quire::engine {

// A copy of them.
struct TierCounts {
  std::int64_t hits = 0;      // records read
  std::int64_t misses = 0;    // asked for and not there
  std::int64_t writes = 0;    // records written
  std::int64_t failures = 0;  // reads and writes that failed: full, I/O error, time-out, no peer
  std::int64_t corrupt = 0;   // records whose checks failed, and files that were not ours
  std::int64_t bytes_read = 0;
  std::int64_t bytes_written = 0;
  std::int64_t records = 0;  // there now, where that is known
};

struct TierCounters {
  std::atomic<std::int64_t> hits{0}, misses{0}, writes{0}, failures{0}, corrupt{0};
  std::atomic<std::int64_t> bytes_read{0}, bytes_written{0};

  static void add(std::atomic<std::int64_t>& counter, std::int64_t by = 1) {
    counter.fetch_add(by, std::memory_order_relaxed);
  }
  [[nodiscard]] TierCounts counts() const {
    return {.hits = hits,
            .misses = misses,
            .writes = writes,
            .failures = failures,
            .corrupt = corrupt,
            .bytes_read = bytes_read,
            .bytes_written = bytes_written};
  }
};

}  // namespace quire::engine
