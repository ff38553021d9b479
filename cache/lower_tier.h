#pragma once
// LowerTier: what lies below host memory (disk, remote), as the cache sees it. engine/tiers makes
// the real one; tests make fakes.
//
// Called by the engine thread alone; no call waits for I/O. A job's slot and tokens are the cache's
// and stay as they are until the job's report was fetched: a read fills the slot's memory before
// that, a write reads it.
// 1. Every job that start() took gets exactly one report, in any order, within a bounded time.
// 2. A read is reported as done only where the record's key, tokens and checksum are right.

#include <cstdint>
#include <optional>
#include <span>

#include "cache/page_key.h"
#include "proto/page_source.h"
#include "proto/types.h"

namespace quire::cache {

enum class TierJobKind : std::uint8_t { kRead, kWrite };
enum class TierOutcome : std::uint8_t { kDone, kAbsent, kFailed };

struct TierJob {
  TierJobKind kind = TierJobKind::kRead;
  BlockId slot = kNoBlock;  // of host memory
  PageKey key;
  std::span<const TokenId> tokens = {};  // of the span
};

struct TierReport {
  TierJobKind kind = TierJobKind::kRead;
  BlockId slot = kNoBlock;
  TierOutcome outcome = TierOutcome::kDone;
  PageSource source = PageSource::kDisk;  // of a read that is done
};

class LowerTier {
 public:
  virtual ~LowerTier() = default;
  // Is it worth asking for this key? A guess.
  [[nodiscard]] virtual bool may_have(const PageKey& key) = 0;
  // False: too much is under way already, and nothing happened.
  [[nodiscard]] virtual bool start(const TierJob& job) = 0;
  [[nodiscard]] virtual std::optional<TierReport> next_report() = 0;
  // What reading the pages of one span takes lately; 0 where none was read yet.
  [[nodiscard]] virtual double seconds_per_read() const = 0;
};

}  // namespace quire::cache
