#pragma once
// FairCheck: tenants share what is served. Keeps its own books by what is seen from outside: the
// rows of plans, and who waits. Throws Violation.
//
// 1. Whoever is admitted belongs to a tenant that was served no more in its priority than any other
//    whose sequence of this priority waits on. A tenant that comes to wait counts from the level of
//    the one that was admitted last (start-time fair queueing), or from the least that waits in its
//    priority.
// 2. While two tenants wait all along in one priority, what they are served in it differs by at
// most
//    twice what all seats can hold.
// A flow is a tenant's sequences of one priority. Whether its line was empty for a moment cannot
// always be seen from outside; its count is a range then.

#include <cstdint>
#include <map>
#include <vector>

#include "tests/sim/core.h"

namespace quire::sim {

class FairCheck final {
 public:
  FairCheck(const Scenario& scenario, std::int64_t longest);

  // After everything that may change who waits, but schedule().
  void look(const Core& core);
  // After schedule().
  void after(const Core& core);
  // After schedule_ahead() planned core.next: nobody was admitted.
  void after_ahead(const Core& core);
  // Comparisons of two flows that both waited all along.
  [[nodiscard]] std::int64_t num_compared() const { return num_compared_; }

 private:
  // A number of tokens that is at least and at most so large.
  struct Range {
    std::int64_t least = 0, most = 0;
    void raise_to(const Range& other);
    void add(std::int64_t tokens) { least += tokens, most += tokens; }
  };
  struct Flow {
    Range count;                               // what the scheduler has to go by
    std::int64_t served = 0;                   // really
    std::vector<SequenceId> waiting, reading;  // when it was last looked
    std::vector<SequenceId> waiting_now, reading_now, admitted_now;
    std::int32_t num_present = 0;
    std::int64_t least_start = 0;  // where one that comes to wait begins, at least
    bool came_to_wait = false;
  };
  static constexpr std::size_t kPriorities = 3;  // -1, 0 and 1: a flow each
  // A sequence that ran, and how often it had been preempted.
  using Runs = std::map<SequenceId, std::int32_t>;

  void sort_by_flow(const Core& core);
  void come_to_wait(Flow& flow);
  void raise_those_that_came();
  void start_interval(const Flow& flow);
  [[nodiscard]] Flow& flow_of(const scheduler::Sequence& sequence);
  [[nodiscard]] Range start_of(const Flow& flow) const;
  [[nodiscard]] std::int64_t& base(std::size_t a, std::size_t b) {
    return bases_[a * flows_.size() + b];
  }
  void admit(const Core& core, const scheduler::Sequence& sequence);
  void charge(const scheduler::StepRow& row, Flow& flow);
  void compare_served();

  const bool has_forgetful_queue_;  // more flows than it has places for
  const std::int64_t bound_;
  std::vector<Flow> flows_;          // [tenant][priority]
  std::vector<std::int64_t> bases_;  // [a][b]: served a - served b when both began to wait
  Range level_;
  Runs ran_before_;
  std::map<SequenceId, std::int32_t> charged_;
  std::int64_t num_compared_ = 0;
};

}  // namespace quire::sim
