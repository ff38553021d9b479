#pragma once
// Ledger: every client of a run, what it asked for, did and was told. Knows what must hold for each
// of them and for all together; throws Violation.
//
// 1. A client is told nothing after its end, and its end exactly once.
// 2. What it was told is what the uncontended run tells, whole or (ended from outside) its
// beginning.
// 3. The tokens that it is told it did not have to wait for are those before its first row.
// 4. added == finished + aborted + in flight, and the scheduler's counters say the same.

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "scheduler/scheduler.h"
#include "tests/sim/scenario.h"
#include "tests/sim/transcript.h"

namespace quire::sim {

using scheduler::Clock;

struct Client {
  Request request;
  Clock::time_point arrival_time{};
  bool paused = false;
  Clock::time_point paused_since{};
  std::int32_t num_cached = -1;  // where it began to be computed; -1: it did not begin yet
  Transcript told;
};

class Ledger final {
 public:
  explicit Ledger(const Scenario& scenario) : scenario_(scenario) {}

  void add(SequenceId id, Request request, Clock::time_point now);
  // A row of it begins there.
  void begin_at(SequenceId id, std::int32_t position);
  void tell(const scheduler::TokenEvent& event, Clock::time_point now);
  void set_paused(SequenceId id, bool paused, Clock::time_point now);
  // The client ended it.
  void abort(SequenceId id);
  void finish(SequenceId id);

  [[nodiscard]] bool contains(SequenceId id) const { return clients_.contains(id); }
  [[nodiscard]] bool is_paused(SequenceId id) const { return clients_.at(id).paused; }
  [[nodiscard]] std::vector<SequenceId> in_flight() const;
  [[nodiscard]] std::size_t num_in_flight() const { return clients_.size(); }
  [[nodiscard]] std::optional<SequenceId> any(Random& random) const;
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  // The most tokens that may still have to be computed for those in flight.
  [[nodiscard]] std::int64_t work_left() const;

  void check_counters(const scheduler::SchedulerStats& stats) const;
  [[nodiscard]] std::int64_t num_added() const { return num_added_; }
  [[nodiscard]] std::int64_t num_aborted() const { return num_aborted_; }

 private:
  [[nodiscard]] Clock::time_point deadline_of(const Client& client) const;
  void check_beginning(const Client& client, SequenceId id) const;
  void check_end(const Client& client, SequenceId id, Clock::time_point now) const;

  const Scenario& scenario_;
  std::map<SequenceId, Client> clients_;  // in flight; ordered, so that a run is reproducible
  std::int64_t num_added_ = 0;
  std::int64_t num_aborted_ = 0;
  std::int64_t num_finished_ = 0;
};

}  // namespace quire::sim
