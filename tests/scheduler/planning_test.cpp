// What a step computes: chunks, budget, order, seats.

#include "tests/scheduler/rig.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

#include <algorithm>

namespace quire::scheduler {
namespace {

TEST_CASE("a prompt is prefilled, then one token is computed per step") {
  Rig rig;
  rig.add({.id = 1, .prompt = 6, .max_tokens = 3});

  rig.schedule();
  REQUIRE(rig.plan.rows.size() == 1);
  const StepRow first = rig.plan.rows[0];
  CHECK(first.first_position == 0);
  CHECK(first.num_tokens == 6);
  CHECK(first.context_len == 6);
  CHECK(first.num_blocks == 2);
  CHECK(first.source_sample == -1);
  CHECK(rig.plan.tokens == std::vector<TokenId>{100, 101, 102, 103, 104, 105});
  REQUIRE(rig.plan.samples.size() == 1);
  const StepSample sample = rig.plan.samples[0];
  CHECK(sample.offset == 5);
  CHECK(sample.position == 6);
  CHECK(sample.target == kNoToken);
  CHECK(sample.num_prompt_tokens == 6);
  CHECK(std::equal(sample.history.begin(), sample.history.end(), rig.plan.tokens.begin(),
                   rig.plan.tokens.end()));
  rig.update();

  rig.schedule();
  CHECK(rig.plan.rows.at(0).first_position == 6);
  CHECK(rig.plan.rows.at(0).num_tokens == 1);
  CHECK(rig.plan.tokens == std::vector<TokenId>{1006});
  CHECK(rig.plan.samples.at(0).history.size() == 7);
  rig.update();

  const auto& last = rig.step();
  REQUIRE(last.size() == 1);
  CHECK(last[0].token == 1008);
  CHECK(last[0].finish == FinishReason::kLength);
  CHECK(rig.scheduler.idle());
  CHECK(rig.schedule().empty());
}

TEST_CASE("a long prompt is cut by the budget and samples only at its end") {
  RigOptions options;
  options.scheduler.max_num_batched_tokens = 5;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 12, .max_tokens = 1});
  for (const std::int32_t chunk : {5, 5, 2}) {
    rig.schedule();
    CHECK(rig.plan.rows.at(0).num_tokens == chunk);
    CHECK(rig.plan.samples.size() == (chunk == 2 ? 1u : 0u));
    rig.update();
  }
  CHECK(rig.scheduler.idle());
}

TEST_CASE("max_chunk bounds each row, not the step") {
  RigOptions options;
  options.scheduler.max_chunk = 3;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 7});
  rig.add({.id = 2, .prompt = 2});
  rig.schedule();
  CHECK(rig.row_of(1)->num_tokens == 3);
  CHECK(rig.row_of(2)->num_tokens == 2);
}

TEST_CASE("who decodes is served before a newcomer's prefill") {
  RigOptions options;
  options.scheduler.max_num_batched_tokens = 8;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 4});
  rig.step();
  rig.add({.id = 2, .prompt = 20});
  rig.schedule();
  CHECK(rig.row_of(1)->num_tokens == 1);
  CHECK(rig.row_of(2)->num_tokens == 7);
  CHECK(rig.plan.rows[0].sequence == SequenceId{1});
}

TEST_CASE("where others decode a step takes few tokens of prefill, else all it can") {
  RigOptions options;
  options.scheduler.max_num_batched_tokens = 12;
  options.scheduler.max_num_prefill_tokens = 5;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 10});
  rig.schedule();
  CHECK(rig.row_of(1)->num_tokens == 10);
  rig.update();
  rig.add({.id = 2, .prompt = 9});
  rig.add({.id = 3, .prompt = 3});
  rig.schedule();
  CHECK(rig.row_of(1)->num_tokens == 1);
  CHECK(rig.row_of(2)->num_tokens == 5);
  CHECK(rig.row_of(3) == nullptr);
  rig.update();
  rig.schedule();
  CHECK(rig.row_of(2)->num_tokens == 4);
  CHECK(rig.row_of(3)->num_tokens == 1);
  rig.update();
  rig.schedule();
  CHECK(rig.plan.rows.size() == 3);
  CHECK(rig.row_of(3)->num_tokens == 2);
}

TEST_CASE("those that decode are not counted as prefill, however many") {
  RigOptions options;
  options.scheduler.max_num_prefill_tokens = 1;
  Rig rig(options);
  for (std::uint64_t id = 1; id <= 4; ++id) rig.add({.id = id, .prompt = 2});
  rig.step();
  rig.add({.id = 5, .prompt = 20});
  rig.schedule();
  CHECK(rig.plan.rows.size() == 5);
  CHECK(rig.row_of(5)->num_tokens == 1);
}

TEST_CASE("the budget is never exceeded and the rest waits its turn") {
  RigOptions options;
  options.scheduler.max_num_batched_tokens = 2;
  Rig rig(options);
  for (std::uint64_t id = 1; id <= 4; ++id) rig.add({.id = id, .prompt = 1, .max_tokens = 2});
  std::vector<TokenEvent> all;
  while (!rig.scheduler.idle()) {
    rig.schedule();
    CHECK(rig.plan.tokens.size() <= 2);
    rig.update();
    all.insert(all.end(), rig.events.begin(), rig.events.end());
  }
  for (std::uint64_t id = 1; id <= 4; ++id) CHECK(tokens_of(all, id).size() == 2);
}

TEST_CASE("seats are limited by max_num_seqs") {
  RigOptions options;
  options.scheduler.max_num_seqs = 2;
  Rig rig(options);
  for (std::uint64_t id = 1; id <= 3; ++id) rig.add({.id = id});
  rig.schedule();
  CHECK(rig.plan.rows.size() == 2);
  CHECK(rig.row_of(3) == nullptr);
  CHECK(rig.scheduler.stats().running == 2);
  CHECK(rig.scheduler.stats().waiting == 1);
}

TEST_CASE("the queue goes by priority, then by arrival") {
  RigOptions options;
  options.scheduler.max_num_seqs = 1;
  Rig rig(options);
  rig.add({.id = 1, .max_tokens = 1, .priority = 5});
  rig.add({.id = 2, .max_tokens = 1, .priority = 0});
  rig.add({.id = 3, .max_tokens = 1, .priority = 0});
  rig.add({.id = 4, .max_tokens = 1, .priority = -1});
  std::vector<std::uint64_t> order;
  for (const TokenEvent& event : rig.run())
    order.push_back(static_cast<std::uint64_t>(event.sequence));
  CHECK(order == std::vector<std::uint64_t>{4, 2, 3, 1});
}

TEST_CASE("nobody overtakes the head of the queue") {
  RigOptions options;
  options.num_blocks = 4;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 4, .max_tokens = 4});  // 1 block, later 2
  rig.step();
  rig.add({.id = 2, .prompt = 13, .max_tokens = 1});  // 4 blocks: must wait for 1
  rig.add({.id = 3, .prompt = 1, .max_tokens = 1});   // would fit at once
  rig.schedule();
  CHECK(rig.row_of(2) == nullptr);
  CHECK(rig.row_of(3) == nullptr);
  rig.update();
  const auto all = rig.run();
  CHECK(tokens_of(all, 2).size() == 1);
  CHECK(tokens_of(all, 3).size() == 1);
}

TEST_CASE("a prompt that fills the pool to its last slot runs") {
  RigOptions options;
  options.num_blocks = 3;
  Rig rig(options);
  REQUIRE_FALSE(rig.scheduler.check_admission(11, 1));
  REQUIRE(rig.scheduler.check_admission(12, 1));
  rig.add({.id = 1, .prompt = 11, .max_tokens = 1});
  CHECK(tokens_of(rig.run(), 1).size() == 1);
}

TEST_CASE("block ids of a row are the sequence's own, in order of position") {
  Rig rig;
  rig.add({.id = 1, .prompt = 9});
  rig.add({.id = 2, .prompt = 5});
  rig.schedule();
  REQUIRE(rig.row_of(1)->num_blocks == 3);
  REQUIRE(rig.row_of(2)->num_blocks == 2);
  CHECK(rig.row_of(2)->block_begin == 3);
  CHECK(rig.row_of(2)->token_begin == 9);
  std::vector<BlockId> ids = rig.plan.block_ids;
  std::sort(ids.begin(), ids.end());
  CHECK(std::adjacent_find(ids.begin(), ids.end()) == ids.end());
}

// One decodes; then comes a prompt of 2000 tokens, and one that waits behind it.
struct BesideLong {
  BesideLong() : rig(options()) {
    rig.add({.id = 9, .prompt = 4, .max_tokens = 2000});
    rig.step();
    rig.add({.id = 1, .prompt = 2000, .max_tokens = 2});
    rig.step();
  }
  static RigOptions options() {
    RigOptions options;
    options.num_blocks = 4096;
    options.scheduler.max_model_len = 4096;
    options.scheduler.max_num_prefill_tokens = 16;
    return options;
  }
  Rig rig;
};

TEST_CASE("a long prompt leaves half of what prompts get to the shortest beside it") {
  BesideLong t;
  CHECK(t.rig.row_of(1)->num_tokens == 16);
  const std::int32_t prompt = GENERATE(4, 8, 20);
  t.rig.add({.id = 2, .prompt = prompt, .max_tokens = 2}, [](Sequence& s) { s.tenant = 2; });
  for (std::int32_t left = prompt; left > 0; left -= 8) {
    t.rig.schedule();
    const std::int32_t given = std::min(8, left);
    // A last token alone decodes, and is not charged to prompts.
    REQUIRE(t.rig.row_of(2) != nullptr);
    CHECK(t.rig.row_of(2)->num_tokens == given);
    CHECK(t.rig.row_of(1)->num_tokens == 16 - given);
    t.rig.update();
  }
  CHECK(tokens_of(t.rig.events, 2).size() == 1);
  t.rig.schedule();
  CHECK(t.rig.row_of(1)->num_tokens == 16);
  t.rig.update();
}

TEST_CASE(
    "of several that wait beside a long prompt the shortest is next, and the long one goes on") {
  BesideLong t;
  t.rig.add({.id = 2, .prompt = 400, .max_tokens = 2});
  t.rig.step();
  CHECK(t.rig.row_of(2)->num_tokens == 8);
  t.rig.add({.id = 3, .prompt = 30, .max_tokens = 2});
  for (const std::int32_t given : {8, 8, 8, 6}) {
    t.rig.step();
    CHECK(t.rig.row_of(3)->num_tokens == given);
    CHECK(t.rig.row_of(2) == nullptr);
    CHECK(t.rig.row_of(1)->num_tokens == 16 - given);
  }
  t.rig.step();
  CHECK(t.rig.row_of(2)->num_tokens == 8);
}

TEST_CASE("one of a worse priority, or that is longer, waits until a long prompt is computed") {
  BesideLong t;
  const bool longer = GENERATE(true, false);
  t.rig.add({.id = 2, .prompt = longer ? 2000 : 4, .max_tokens = 2, .priority = longer ? 0 : 1});
  t.rig.step();
  CHECK(t.rig.row_of(1)->num_tokens == 16);
  CHECK(t.rig.row_of(2) == nullptr);
}

}  // namespace
}  // namespace quire::scheduler
