// What sequences share: prefix hits of running and ended ones, forks, copies before the step.

#include "tests/scheduler/rig.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

#include <algorithm>

namespace quire::scheduler {
namespace {

RigOptions sharing() {
  RigOptions options;
  options.enable_prefix_caching = true;
  return options;
}

TEST_CASE("a prompt that was computed before is not computed again, but for its last token") {
  Rig rig(sharing());
  rig.add({.id = 1, .prompt = 12, .max_tokens = 1});
  rig.run();
  rig.add({.id = 2, .prompt = 12, .max_tokens = 1});
  rig.schedule();
  REQUIRE(rig.row_of(2) != nullptr);
  CHECK(rig.row_of(2)->first_position == 11);
  CHECK(rig.row_of(2)->num_tokens == 1);
  REQUIRE(rig.plan.copies.size() == 1);  // the last block is partly equal
  CHECK(rig.plan.copies[0].to == rig.plan.block_ids[2]);
  rig.update();
  REQUIRE(rig.events.size() == 1);
  CHECK(rig.events[0].num_cached_tokens == 11);
}

TEST_CASE("blocks of a sequence that still runs are shared, and outlive an abort") {
  Rig rig(sharing());
  rig.add({.id = 1, .prompt = 9, .max_tokens = 20});
  rig.step();
  rig.add({.id = 2, .prompt = 9, .max_tokens = 20});
  rig.schedule();
  CHECK(rig.row_of(2)->first_position == 8);
  CHECK(std::equal(rig.plan.block_ids.begin(), rig.plan.block_ids.begin() + 2,
                   rig.plan.block_ids.begin() + rig.row_of(2)->block_begin));
  rig.update();
  rig.scheduler.abort(SequenceId{1});
  rig.scheduler.abort(SequenceId{2});
  rig.check();
  rig.add({.id = 3, .prompt = 10, .max_tokens = 1});
  rig.schedule();
  CHECK(rig.row_of(3)->first_position == 8);
  rig.update();
}

TEST_CASE("another salt, no hit, prompts that are scored are computed anew") {
  Rig rig(sharing());
  rig.add({.id = 1, .prompt = 12, .max_tokens = 1}, [](Sequence& s) { s.salt.low = 7; });
  rig.run();
  rig.add({.id = 2, .prompt = 12, .max_tokens = 1});
  rig.schedule();
  CHECK(rig.row_of(2)->first_position == 0);
  rig.update();
  rig.add({.id = 3, .prompt = 12, .max_tokens = 1}, [](Sequence& s) { s.salt.low = 7; });
  rig.schedule();
  CHECK(rig.row_of(3)->first_position == 11);
  rig.update();
  rig.add({.id = 4, .prompt = 12, .max_tokens = 1}, [](Sequence& s) {
    s.salt.low = 7;
    s.params.prompt_logprobs = true;
  });
  rig.schedule();
  CHECK(rig.row_of(4)->first_position == 0);
  rig.update();
}

TEST_CASE("a sequence that was preempted begins again on what it had computed") {
  RigOptions options = sharing();
  options.num_blocks = 8;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 12, .max_tokens = 4});
  rig.step();
  REQUIRE(rig.scheduler.preempt(SequenceId{1}));
  rig.schedule();
  CHECK(rig.row_of(1)->first_position == 12);
  rig.update();
  CHECK(rig.events.back().num_cached_tokens == 0);  // as when it started first
}

TEST_CASE("choices of one prompt wait for the first and share its prefill") {
  for (const bool prefix_caching : {false, true}) {
    RigOptions options;
    options.enable_prefix_caching = prefix_caching;
    options.scheduler.max_num_batched_tokens = 8;
    Rig rig(options);
    for (std::uint64_t id = 1; id <= 3; ++id) {
      rig.add({.id = id, .prompt = 14, .max_tokens = 3}, [&](Sequence& s) {
        s.choice = static_cast<std::int32_t>(id) - 1;
        if (id > 1) s.leader = SequenceId{1};
      });
    }
    rig.step();
    CHECK(rig.plan.rows.size() == 1);
    rig.step();
    CHECK(rig.plan.rows.size() == 1);
    rig.schedule();
    REQUIRE(rig.plan.rows.size() == 3);
    for (const std::uint64_t id : {2u, 3u}) {
      CHECK(rig.row_of(id)->first_position == 13);
      CHECK(rig.row_of(id)->num_tokens == 1);
    }
    CHECK(rig.plan.copies.size() == 2);
    CHECK(rig.cache.stats().forks == 2);
    rig.update();
    const auto rest = rig.run();
    for (std::uint64_t id = 1; id <= 3; ++id) CHECK_FALSE(finishes_of(rest, id).empty());
  }
}

TEST_CASE("followers start by themselves when the leader is aborted, paused or fails") {
  for (int what = 0; what < 3; ++what) {
    Rig rig;
    rig.fault = [](SequenceId id, const StepSample&) { return id == SequenceId{1}; };
    rig.add({.id = 1, .prompt = 14, .max_tokens = 3});
    rig.add({.id = 2, .prompt = 14, .max_tokens = 3},
            [](Sequence& s) { s.leader = SequenceId{1}; });
    if (what == 0) rig.scheduler.abort(SequenceId{1});
    if (what == 1) rig.scheduler.set_paused(SequenceId{1}, true, rig.now);
    rig.check();
    std::vector<TokenEvent> all;
    for (int step = 0; step < 20; ++step) {
      const auto& told = rig.step();
      all.insert(all.end(), told.begin(), told.end());
    }
    CHECK(tokens_of(all, 2).size() == 3);
    rig.scheduler.abort(SequenceId{1});
  }
}

// Nine of a prompt of 100 tokens that end with their first token, and the tree keeps nothing.
TEST_CASE("a leader that ends at once has shared its prompt before") {
  RigOptions options;
  options.num_blocks = 256;
  options.scheduler.max_num_seqs = 9;
  options.scheduler.max_num_batched_tokens = 512;
  const std::int32_t max_tokens = GENERATE(1, 2);
  Rig rig(options);
  for (std::uint64_t id = 1; id <= 9; ++id) {
    rig.add({.id = id, .prompt = 100, .max_tokens = max_tokens}, [&](Sequence& s) {
      s.choice = static_cast<std::int32_t>(id) - 1;
      if (id > 1) s.leader = SequenceId{1};
    });
  }
  std::size_t computed = 0;
  while (!rig.scheduler.idle()) {
    computed += rig.schedule().tokens.size();
    rig.update();
  }
  CHECK(computed == 100u + 8 + 9 * static_cast<std::size_t>(max_tokens - 1));
}

TEST_CASE("when a leader goes before its prompt is computed, the first follower leads the others") {
  const int what = GENERATE(0, 1, 2);
  RigOptions options;
  options.scheduler.max_num_batched_tokens = 8;
  Rig rig(options);
  for (std::uint64_t id = 1; id <= 4; ++id) {
    rig.add({.id = id, .prompt = 20, .max_tokens = 2}, [&](Sequence& s) {
      s.choice = static_cast<std::int32_t>(id) - 1;
      if (id > 1) s.leader = SequenceId{1};
      if (id == 1) s.deadline = rig.now + std::chrono::seconds(1);
    });
  }
  rig.scheduler.set_paused(SequenceId{2}, true, rig.now);  // the first that can is the third
  rig.step();
  if (what == 0) rig.scheduler.abort(SequenceId{1});
  if (what == 1) rig.scheduler.set_paused(SequenceId{1}, true, rig.now);
  if (what == 2) rig.now += std::chrono::seconds(1);
  rig.check();
  rig.step();
  rig.scheduler.set_paused(SequenceId{2}, false, rig.now);
  while (rig.plan.rows.size() == 1) {
    CHECK(rig.row_of(3) != nullptr);
    CHECK(rig.row_of(3)->context_len < 20);
    rig.step();
  }
  REQUIRE(rig.plan.rows.size() == 3);
  for (const std::uint64_t id : {2u, 3u, 4u}) CHECK(rig.row_of(id)->first_position == 19);
  rig.scheduler.abort(SequenceId{1});
  rig.run();
}

TEST_CASE("nothing that a sequence stood on is begun with after logits that are not finite") {
  RigOptions options = sharing();
  options.num_host_slots = 64;
  options.scheduler.max_chunk = 16;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 24, .max_tokens = 1});  // the first half of the next one's
  rig.run();
  rig.fault = [](SequenceId id, const StepSample&) { return id == SequenceId{2}; };
  rig.add({.id = 2, .prompt = 48, .max_tokens = 2});
  rig.schedule();
  CHECK(rig.row_of(2)->first_position == 24);
  rig.update();
  rig.schedule();
  rig.update();
  CHECK(finishes_of(rig.events, 2) == std::vector<FinishReason>{FinishReason::kError});
  CHECK(rig.cache.usage().cached_blocks == 0);
  CHECK(rig.cache.tiers().host().num_used() == 0);
  CHECK(rig.cache.copies_out().empty());
  rig.add({.id = 3, .prompt = 48, .max_tokens = 2});
  rig.schedule();
  CHECK(rig.row_of(3)->first_position == 0);
  rig.update();
  rig.run();
}

}  // namespace
}  // namespace quire::scheduler
