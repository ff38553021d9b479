#pragma once
// PrefixCheck: what is computed is found again, and whoever waits is seated once it can be. By a
// plain model of who has computed what: each block's content, taken from the tables of those that
// run. Throws Violation.
//
// 1. Whoever starts reuses at least the whole spans that are cached in a row from its beginning.
// 2. What a running sequence has computed is cached, output too, as far as its spans are full.
// 3. No step is planned ahead while the one that comes next would have a seat and blocks, those of
//    its beginning that others hold among them, if all that are paused gave theirs.
// 4. While the first prompt of those that run is more than a step can take, nobody waits who comes
//    next, has fewer tokens than any that is computed, and could start.
// Runs whose model has one kind of attention, without a window; others have gaps in their tables.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "tests/sim/core.h"

namespace quire::sim {

class PrefixCheck final {
 public:
  explicit PrefixCheck(const Scenario& scenario);

  void before(const Core& core);  // schedule()
  void after_schedule(const Core& core);
  void after_ahead(const Core& core);   // core.next was planned
  void after_update(const Core& core);  // of core.plan
  // The sequence's logits were not finite: what others share with it need not be cached any more.
  void distrust(const scheduler::Sequence& sequence);

 private:
  // Stands for the tenant and all tokens up to the end of a span.
  using Content = std::uint64_t;
  static constexpr Content kUnknown = 0;

  void note_contents(const Core& core);
  [[nodiscard]] const std::vector<Content>& contents_of(const scheduler::Sequence& sequence);
  // The blocks of its cached beginning, up to its reusable tokens.
  [[nodiscard]] std::vector<BlockId> cached_beginning(const Core& core,
                                                      const scheduler::Sequence& sequence);
  [[nodiscard]] static const scheduler::Sequence* next_in_line(const Core& core);
  void check_long_prompt(const Core& core);
  [[nodiscard]] bool could_start(const Core& core, const scheduler::Sequence& sequence);

  const Scenario& scenario_;
  const bool applies_;
  const std::int32_t span_;
  std::vector<Content> content_of_;                      // [block]
  std::map<SequenceId, std::vector<Content>> contents_;  // of its spans, as far as they were full
  std::set<Content> distrusted_;
  std::map<SequenceId, std::int32_t> ran_before_;  // with its preemptions
};

}  // namespace quire::sim
