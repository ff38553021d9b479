#pragma once
// FakeTier: what lies below host memory, with all that can go wrong there. Jobs take steps instead
// of time; records are damaged, lost and refused as the seed says.
//
// A job touches its slot at its end and not before: a slot that was given to others meanwhile
// shows.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "cache/lower_tier.h"
#include "tests/sim/model_arithmetic.h"
#include "tests/sim/random.h"
#include "tests/sim/scenario.h"

namespace quire::sim {

// Host memory: entries of each page, and whose they are.
struct HostMemory {
  explicit HostMemory(const Scenario& scenario);

  std::int32_t page_size = 1;          // entries
  std::int32_t pages_per_slot = 1;     // of all groups
  std::vector<Entry> entries;          // [slot][page][entry]
  std::vector<CacheSalt> written_for;  // [slot][page]
};

struct TierFaults {
  std::int64_t refused = 0, failed = 0, damaged = 0, full = 0, lost = 0, slow = 0;
};

class FakeTier final : public cache::LowerTier {
 public:
  FakeTier(const Scenario& scenario, HostMemory& host);

  [[nodiscard]] bool may_have(const cache::PageKey& key) override;
  [[nodiscard]] bool start(const cache::TierJob& job) override;
  [[nodiscard]] std::optional<cache::TierReport> next_report() override;
  [[nodiscard]] double seconds_per_read() const override { return 0.0; }

  // A job, or its report, has to do with the slot.
  [[nodiscard]] bool is_busy(BlockId slot) const;
  // A step has passed: some jobs end.
  void tick();
  // From now on nothing goes wrong, and everything ends at once.
  void settle();
  [[nodiscard]] const TierFaults& faults() const { return faults_; }

 private:
  struct Record {
    std::vector<TokenId> tokens;
    std::vector<Entry> entries;
    std::vector<CacheSalt> written_for;
    std::uint64_t digest = 0;
  };
  struct Job {
    cache::TierJob job;
    std::uint64_t digest = 0;  // of what a write is to write
    std::int64_t due = 0;
  };
  void finish(const Job& job);
  [[nodiscard]] cache::TierOutcome read(const cache::TierJob& job);
  [[nodiscard]] cache::TierOutcome write(const Job& job);
  [[nodiscard]] std::uint64_t digest_of(BlockId slot) const;

  HostMemory& host_;
  const TierOdds odds_;
  Random random_;
  bool settled_ = false;
  std::int64_t now_ = 0;
  std::map<std::array<std::uint64_t, 4>, Record> records_;
  std::vector<Job> jobs_;
  std::vector<cache::TierReport> reports_;
  TierFaults faults_;
};

}  // namespace quire::sim
