// Who gives way, what it keeps, and how often.

#include "tests/scheduler/rig.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

#include <map>

namespace quire::scheduler {
namespace {

// Two that decode over 3 blocks of 4: the second has to give way when both need a second block.
RigOptions tight() {
  RigOptions options;
  options.num_blocks = 3;
  return options;
}

TEST_CASE("the one that comes last gives way and is computed anew, its output kept") {
  Rig rig(tight());
  rig.add({.id = 1, .prompt = 4, .max_tokens = 8});
  rig.add({.id = 2, .prompt = 4, .max_tokens = 8});
  std::vector<TokenEvent> all;
  bool recomputed = false;
  while (!rig.scheduler.idle()) {
    rig.schedule();
    const StepRow* const row = rig.row_of(2);
    // Back again: prompt and output are prefilled in one go.
    if (row != nullptr && row->first_position == 0 && row->num_tokens > 4) recomputed = true;
    rig.update();
    all.insert(all.end(), rig.events.begin(), rig.events.end());
  }
  CHECK(rig.scheduler.stats().num_preemptions == 1);
  CHECK(recomputed);
  const std::vector<TokenId> expected{1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011};
  CHECK(tokens_of(all, 1) == expected);
  CHECK(tokens_of(all, 2) == expected);
  CHECK(finishes_of(all, 2) == std::vector<FinishReason>{FinishReason::kLength});
}

TEST_CASE("priority decides who gives way, not the time of arrival") {
  Rig rig(tight());
  rig.add({.id = 1, .prompt = 4, .max_tokens = 8, .priority = 1});
  rig.add({.id = 2, .prompt = 4, .max_tokens = 8, .priority = 0});
  rig.step();
  while (rig.scheduler.stats().num_preemptions == 0) rig.step();
  CHECK(rig.row_of(1) == nullptr);
  CHECK(rig.row_of(2) != nullptr);
  rig.run();
}

TEST_CASE("the last one waits with its blocks rather than give them up for itself") {
  RigOptions options = tight();
  Rig rig(options);
  rig.add({.id = 1, .prompt = 7, .max_tokens = 5});  // 2 blocks, a third at token 9
  rig.add({.id = 2, .prompt = 4, .max_tokens = 2});  // 1 block, a second at token 5
  rig.step();
  rig.schedule();
  CHECK(rig.row_of(1) != nullptr);
  CHECK(rig.row_of(2) == nullptr);
  CHECK(rig.scheduler.stats().num_preemptions == 0);
  CHECK(rig.scheduler.stats().running == 2);
  rig.update();
  const auto all = rig.run();
  CHECK(tokens_of(all, 2).size() == 1);  // and one before
}

TEST_CASE("after max_preemptions a sequence comes back with its worst case, and is left alone") {
  RigOptions options;
  options.num_blocks = 8;
  options.scheduler.max_preemptions = 2;
  Rig rig(options);
  rig.add({.id = 100, .prompt = 4, .max_tokens = 20, .priority = 9});  // worst case: 6 blocks
  // Better ones come again and again, each time growing over the whole pool.
  std::uint64_t next_id = 1;
  std::map<std::uint64_t, int> restarts;
  for (int i = 0; i < 400 && !(rig.scheduler.idle() && i > 100); ++i) {
    if (i < 100 && i % 5 == 0) rig.add({.id = next_id++, .prompt = 4, .max_tokens = 12});
    rig.schedule();
    for (const StepRow& row : rig.plan.rows) {
      if (row.first_position == 0) ++restarts[static_cast<std::uint64_t>(row.sequence)];
    }
    if (const StepRow* row = rig.row_of(100); row != nullptr && restarts[100] == 3) {
      // Its third start is its last: nothing is missing for it any more.
      CHECK(rig.cache.usage().reserved_blocks + row->num_blocks >= 6);
    }
    rig.update();
  }
  CHECK(rig.scheduler.idle());
  CHECK(restarts[100] <= 3);
  CHECK(rig.scheduler.stats().num_preemptions >= 2);
  CHECK(rig.scheduler.stats().num_finished == static_cast<std::int64_t>(next_id));
}

TEST_CASE("max_preemptions 0: the worst case is reserved from the start, nobody gives way") {
  RigOptions options = tight();
  options.scheduler.max_preemptions = 0;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 4, .max_tokens = 4});
  rig.add({.id = 2, .prompt = 4, .max_tokens = 4});
  rig.schedule();
  CHECK(rig.plan.rows.size() == 1);
  CHECK(rig.cache.usage().reserved_blocks == 1);
  rig.update();
  const auto all = rig.run();
  CHECK(tokens_of(all, 2).size() == 4);
  CHECK(rig.scheduler.stats().num_preemptions == 0);
}

TEST_CASE("each position of a prompt is scored once, whatever happens to the sequence") {
  RigOptions options;
  options.num_blocks = 5;
  options.scheduler.max_chunk = 3;
  Rig rig(options);
  const auto wants_scores = [](Sequence& sequence) {
    sequence.params.prompt_logprobs = true;
    sequence.params.num_logprobs = 2;
  };
  rig.add({.id = 1, .prompt = 4, .max_tokens = 12}, wants_scores);
  rig.step();
  rig.add({.id = 2, .prompt = 11, .max_tokens = 6}, wants_scores);
  std::vector<TokenEvent> all;
  while (!rig.scheduler.idle()) {
    rig.schedule();
    for (const StepSample& sample : rig.plan.samples) {
      CHECK(sample.num_top == 2);
      CHECK(static_cast<std::size_t>(sample.position) == sample.history.size());
      const StepRow& row = rig.plan.rows[sample.row];
      CHECK(row.first_position + sample.offset + 1 == sample.position);
    }
    rig.update();
    all.insert(all.end(), rig.events.begin(), rig.events.end());
  }
  CHECK(rig.scheduler.stats().num_preemptions >= 1);
  std::vector<float> scored;
  std::vector<TokenId> tokens;
  for (const TokenEvent& event : all) {
    if (event.sequence != SequenceId{2} || !event.is_prompt) continue;
    scored.push_back(-event.logprob);
    tokens.push_back(event.token);
  }
  CHECK(scored == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  CHECK(tokens == std::vector<TokenId>{101, 102, 103, 104, 105, 106, 107, 108, 109, 110});
  CHECK(tokens_of(all, 2).size() == 6);
}

TEST_CASE("a paused one keeps its blocks where they would not be enough for the head") {
  RigOptions options;
  options.num_blocks = 20;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 40, .max_tokens = 20});
  rig.add({.id = 2, .prompt = 12, .max_tokens = 20});
  rig.step();
  rig.scheduler.set_paused(SequenceId{2}, true, rig.now);
  rig.add({.id = 3, .prompt = 60, .max_tokens = 4});
  rig.step();
  CHECK(rig.scheduler.stats().num_preemptions == 0);
  CHECK(rig.row_of(3) == nullptr);
  rig.scheduler.abort(SequenceId{1});
  rig.step();  // 17 are free: it needs nobody's
  CHECK(rig.scheduler.stats().num_preemptions == 0);
  CHECK(rig.row_of(3) != nullptr);
  rig.scheduler.set_paused(SequenceId{2}, false, rig.now);
  rig.run();
}

}  // namespace
}  // namespace quire::scheduler
