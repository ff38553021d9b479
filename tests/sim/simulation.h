#pragma once
// Simulation: one run. Real scheduler, real cache, a fake model, a clock that the run moves, and
// clients that do what the seed says.

#include <array>
#include <cstdint>

namespace quire::sim {

// What can happen in a run and is counted, with its name.
enum class Count : std::uint8_t {
  kSteps,                 // calls of schedule()
  kRunningSteps,          // of these, with a sequence that runs
  kTokens,                // computed
  kStepsAhead,            // planned while another ran
  kNotAhead,              // asked for and refused
  kAheadOfCopies,         // planned while pages wait to go out
  kAheadOfReads,          // planned while someone's pages are read
  kExecutedEarly,         // computed before the result of the one before was seen
  kDroppedRows,           // ahead, of sequences that had ended or been set back
  kSetBack,               // of these: the choice before was put off
  kAbortedTwiceInFlight,  // with two steps in flight
  kEndedBetween,          // with a step in flight, between two others
  kRequests,              // sequences that were added
  kRefusedBySize,
  kRefusedByQueue,
  kAtTheLimit,  // prompt + max_tokens at the limit, or one off
  kSmallPool,   // runs with at most 8 blocks
  kBursts,
  kForked,  // requests with n > 1
  kAbortedWaiting,
  kAbortedFollowing,
  kAbortedRunning,
  kAbortedPaused,
  kAbortedInFlight,
  kFinishedByConsumer,
  kPaused,
  kResumed,
  kExpired,  // past a deadline, or stalled for too long
  kClockJumps,
  kForcedPreemptions,
  kForcedEvictions,
  kPreemptions,
  kGuaranteed,  // readmissions with the worst case reserved
  kModelFaults,
  kPutOff,
  kDrained,
  kFailedAll,
  kDestroyed,
  kPrefixHits,
  kPartialHits,
  kForks,
  kCopies,
  kEvictions,
  kJoined,
  kHostWrites,
  kHostReads,
  kHostEvictions,
  kLowerWrites,
  kLowerReads,
  kLowerMisses,
  kSwapsOut,
  kSwapsIn,
  kRecomputes,
  kDeclined,
  kReadTimeouts,
  kAbortedReading,
  kTierRefused,
  kTierFailed,
  kTierDamaged,
  kTierFull,
  kTierLost,
  kTierSlow,
  kRunsWithTiers,
  kRunsWithWindows,
  kRunsWithTenants,
  kRunsAhead,
  kCompared,  // pairs of tenants that both waited all along
  kNumCounts
};
[[nodiscard]] const char* name_of(Count count);

struct Report {
  std::array<std::int64_t, static_cast<std::size_t>(Count::kNumCounts)> counts{};
  std::uint64_t trace = 0;  // hash of all plans and events: equal for equal seeds

  [[nodiscard]] std::int64_t& operator[](Count count) {
    return counts[static_cast<std::size_t>(count)];
  }
  void add(const Report& other) {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  }
};

// Runs `steps` steps under faults, then the scenario's ending. Throws Violation.
[[nodiscard]] Report simulate(std::uint64_t seed, std::int32_t steps);

}  // namespace quire::sim
