#pragma once
// AheadCheck: what must hold for one call of Scheduler::schedule_ahead, seen from outside. Throws
// Violation.
//
// 1. It decides nothing: nobody is admitted, preempted or ended, and it says no where the step in
//    flight left someone out who runs. (Where someone could be admitted: PrefixCheck.)
// 2. Each row is the token after one that the step in flight chooses, and of no sequence whose last
//    token that is.

#include <cstdint>
#include <vector>

#include "scheduler/scheduler.h"
#include "tests/sim/core.h"

namespace quire::sim {

class AheadCheck final {
 public:
  explicit AheadCheck(const Scenario& scenario) : scenario_(scenario) {}

  void before(const Core& core);
  // schedule_ahead() said no, or planned core.next.
  void after_no(const Core& core) const;
  void after(const Core& core, scheduler::Clock::time_point now) const;

 private:
  // What decisions change: of each sequence, where it stands.
  struct Place {
    SequenceId sequence{};
    scheduler::SequenceState state{};
    bool paused = false;
    std::int32_t num_tokens = 0;
    std::int32_t num_computed = 0;
    friend bool operator==(const Place&, const Place&) = default;
  };
  [[nodiscard]] static std::vector<Place> places_of(const Core& core);

  void check_waiting_copies(const Core& core) const;
  void check_row(const Core& core, std::size_t row) const;
  void check_all_go_on(const Core& core) const;

  const Scenario& scenario_;
  std::vector<Place> places_;
};

}  // namespace quire::sim
