#pragma once
// DiskSlab: page records in one file of equal slots, DIR/quire.pages.
//
// The file describes itself: each slot begins with its record's head, and the index is made anew
// from the heads at start. So there is no index to corrupt: a write that was cut off, a flipped
// bit, a file of another model or no file of ours at all is found by the checks, counted, and a
// miss. Prompts lie in it (as tokens and as pages): mode 0600, and one daemon at a time (a lock).
//
// read() and write(): the tier thread alone; has() and the counters: any thread.
// 1. The file is never larger than `max_bytes`; the least recently used record makes room.
// 2. After a failed write (disk full, I/O error) nothing is written for kPause; reads go on.

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "cache/slot_index.h"
#include "engine/tiers/page_record.h"
#include "engine/tiers/tier_counters.h"
#include "proto/error.h"

namespace quire::engine {

struct DiskOptions {
  std::filesystem::path folder;
  std::int64_t max_bytes = std::int64_t{10} << 30;
  RecordShape shape;
};

enum class StoreOutcome : std::uint8_t { kDone, kAbsent, kCorrupt, kFailed };

class DiskSlab final {
 public:
  // An error says why there is no disk tier: another daemon holds the file, it is somebody else's,
  // no slot fits.
  [[nodiscard]] static Result<std::unique_ptr<DiskSlab>> open(const DiskOptions& options);
  ~DiskSlab();
  DiskSlab(const DiskSlab&) = delete;
  DiskSlab& operator=(const DiskSlab&) = delete;

  [[nodiscard]] bool has(const cache::PageKey& key) const;
  // Fills `pages` only where the outcome is kDone.
  [[nodiscard]] StoreOutcome read(const cache::PageKey& key, std::span<const TokenId> tokens,
                                  std::span<std::byte> pages);
  [[nodiscard]] StoreOutcome write(const cache::PageKey& key, std::span<const TokenId> tokens,
                                   std::span<const std::byte> pages);

  [[nodiscard]] std::int32_t num_records() const;
  [[nodiscard]] const TierCounters& counters() const { return counters_; }

 private:
  static constexpr std::chrono::seconds kPause{5};

  DiskSlab(int file, const DiskOptions& options, std::int32_t num_slots);
  void prepare_file();
  void scan();
  [[nodiscard]] std::int64_t offset_of(BlockId slot) const;
  [[nodiscard]] bool is_paused() const;
  void discard(BlockId slot);

  const int file_;
  const RecordShape shape_;
  const std::int64_t slot_bytes_;
  mutable std::mutex mutex_;  // over index_ alone, never while a file is read or written
  cache::SlotIndex index_;
  std::vector<std::byte> record_;  // the tier thread's scratch
  std::uint64_t last_stamp_ = 0;
  std::chrono::steady_clock::time_point paused_until_{};
  TierCounters counters_;
};

}  // namespace quire::engine
