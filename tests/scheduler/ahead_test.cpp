// A step planned while the one before it runs: what it has, when there is none, and that nobody is
// told anything else for it.

#include "tests/scheduler/rig.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

#include <algorithm>

namespace quire::scheduler {
namespace {

using std::chrono::minutes;

// Two that decode, with a step of both in flight.
struct TwoInFlight {
  explicit TwoInFlight(RigOptions options = {}) : rig(options) {
    rig.add({.id = 1, .max_tokens = 8});
    rig.add({.id = 2, .max_tokens = 8});
    rig.step();
    rig.schedule();
  }
  Rig rig;
};

// All events of a run that goes ahead whenever it can; how often it did.
std::vector<TokenEvent> run_ahead(Rig& rig, int& num_ahead) {
  std::vector<TokenEvent> all;
  bool in_flight = false;
  while (in_flight || !rig.scheduler.idle()) {
    if (!in_flight) rig.schedule();
    all.insert(all.end(), rig.events.begin(), rig.events.end());
    in_flight = rig.schedule_ahead();
    num_ahead += in_flight ? 1 : 0;
    rig.update_and_go_on();
    all.insert(all.end(), rig.events.begin(), rig.events.end());
    rig.events.clear();
  }
  return all;
}

TEST_CASE("a step ahead has the token after each of the step in flight") {
  TwoInFlight t;
  REQUIRE(t.rig.schedule_ahead());
  const StepPlan& next = t.rig.next;
  CHECK(static_cast<std::uint64_t>(next.step_id) ==
        static_cast<std::uint64_t>(t.rig.plan.step_id) + 1);
  REQUIRE(next.rows.size() == 2);
  REQUIRE(next.samples.size() == 2);
  CHECK(next.copies.empty());
  for (std::int32_t r = 0; r < 2; ++r) {
    const StepRow& row = next.rows[r];
    CHECK(row.sequence == t.rig.plan.rows[r].sequence);
    CHECK(row.source_sample == r);
    CHECK(row.num_tokens == 1);
    CHECK(row.first_position == 5);  // 4 of the prompt, and one was told
    CHECK(row.context_len == 6);
    CHECK(next.tokens[r] == kNoToken);
    CHECK(next.samples[r].row == r);
    CHECK(next.samples[r].position == 6);
    CHECK(next.samples[r].history.size() == 5);
    CHECK(next.samples[r].params->max_tokens == 8);
  }
  t.rig.update_and_go_on();
  CHECK(tokens_of(t.rig.events, 1) == std::vector<TokenId>{1005});
  t.rig.update();
  CHECK(tokens_of(t.rig.events, 1) == std::vector<TokenId>{1005, 1006});
  CHECK(t.rig.schedule().rows[0].first_position == 6);
}

TEST_CASE("all are told the same, with and without running ahead") {
  RigOptions options;
  options.num_blocks = 14;
  options.scheduler.max_num_seqs = 4;
  options.scheduler.max_num_batched_tokens = 9;
  const auto fill = [](Rig& rig) {
    for (std::uint64_t id = 1; id <= 9; ++id) {
      rig.add({.id = id,
               .prompt = static_cast<std::int32_t>(1 + id * 5 % 11),
               .max_tokens = static_cast<std::int32_t>(2 + id * 7 % 13)},
              [id](Sequence& sequence) { sequence.params.prompt_logprobs = id == 5; });
    }
    rig.answer = [](SequenceId id, const StepSample& sample) {
      const auto mixed = static_cast<std::int32_t>(id) * 31 + sample.position;
      return mixed % 9 == 0 ? kEos : 1000 + mixed;
    };
  };
  Rig plain(options), ahead(options);
  fill(plain);
  fill(ahead);
  const auto expected = plain.run();
  int num_ahead = 0;
  const auto told = run_ahead(ahead, num_ahead);
  CHECK(num_ahead >= 8);
  for (std::uint64_t id = 1; id <= 9; ++id) {
    CHECK(tokens_of(told, id) == tokens_of(expected, id));
    CHECK(finishes_of(told, id) == finishes_of(expected, id));
  }
  CHECK(ahead.cache.usage().free_blocks == 14);
}

TEST_CASE("an end token is seen one step late, and the row ahead is dropped") {
  TwoInFlight t;
  t.rig.answer = [](SequenceId id, const StepSample&) { return id == SequenceId{1} ? kEos : 7; };
  REQUIRE(t.rig.schedule_ahead());
  REQUIRE(t.rig.next.rows.size() == 2);
  t.rig.update_and_go_on();
  CHECK(finishes_of(t.rig.events, 1) == std::vector<FinishReason>{FinishReason::kStop});
  CHECK(t.rig.scheduler.sequences().size() == 1);
  // The next one has the other's row alone, and its sample of the step in flight.
  REQUIRE(t.rig.schedule_ahead());
  REQUIRE(t.rig.next.rows.size() == 1);
  CHECK(t.rig.next.rows[0].sequence == SequenceId{2});
  CHECK(t.rig.next.rows[0].source_sample == 1);
  t.rig.update_and_go_on();
  CHECK(tokens_of(t.rig.events, 1).empty());
  CHECK(finishes_of(t.rig.events, 1).empty());
  CHECK(tokens_of(t.rig.events, 2) == std::vector<TokenId>{7});
}

TEST_CASE("an abort with two steps in flight drops both rows, and both plans stay readable") {
  TwoInFlight t;
  REQUIRE(t.rig.schedule_ahead());
  const std::int32_t free = t.rig.cache.usage().free_blocks;
  const bool finishes = GENERATE(false, true);
  CHECK((finishes ? t.rig.scheduler.finish(SequenceId{1}) : t.rig.scheduler.abort(SequenceId{1})));
  t.rig.check();
  CHECK(t.rig.cache.usage().free_blocks > free);
  const auto readable = [](const StepPlan& plan) {
    CHECK(plan.samples[0].params->max_tokens == 8);
    CHECK(plan.samples[0].history.front() == 100);
  };
  readable(t.rig.plan);
  readable(t.rig.next);
  t.rig.update_and_go_on();
  readable(t.rig.plan);
  CHECK(tokens_of(t.rig.events, 1).empty());
  t.rig.update_and_go_on();
  CHECK(tokens_of(t.rig.events, 1).empty());
  CHECK(tokens_of(t.rig.events, 2) == std::vector<TokenId>{1006});
  t.rig.run();
}

TEST_CASE("a fault ends the sequence, and nothing is told of the row ahead") {
  TwoInFlight t;
  t.rig.fault = [](SequenceId id, const StepSample& sample) {
    return id == SequenceId{1} && sample.position == 5;
  };
  REQUIRE(t.rig.schedule_ahead());
  t.rig.update_and_go_on();
  CHECK(finishes_of(t.rig.events, 1) == std::vector<FinishReason>{FinishReason::kError});
  t.rig.update_and_go_on();
  CHECK(tokens_of(t.rig.events, 1).empty());
}

TEST_CASE("a choice that was put off sets its sequence back, and is made again") {
  TwoInFlight t;
  int times = 1;
  t.rig.puts_off = [&](SequenceId id, const StepSample&) {
    return id == SequenceId{1} && times-- > 0;
  };
  REQUIRE(t.rig.schedule_ahead());
  t.rig.update_and_go_on();  // no token for the first
  CHECK(tokens_of(t.rig.events, 1).empty());
  CHECK(tokens_of(t.rig.events, 2) == std::vector<TokenId>{1005});
  CHECK_FALSE(t.rig.schedule_ahead());  // its last token is to be computed once more
  t.rig.update_and_go_on();
  CHECK(tokens_of(t.rig.events, 1).empty());
  CHECK(tokens_of(t.rig.events, 2) == std::vector<TokenId>{1006});
  t.rig.schedule();
  CHECK(t.rig.row_of(1)->first_position == 4);
  CHECK(t.rig.row_of(2)->first_position == 6);
  t.rig.update();
  CHECK(tokens_of(t.rig.events, 1) == std::vector<TokenId>{1005});
}

TEST_CASE("whose end by length is known has no row ahead") {
  Rig rig;
  rig.add({.id = 1, .max_tokens = 2});
  rig.add({.id = 2, .max_tokens = 3});
  rig.step();
  rig.schedule();
  REQUIRE(rig.schedule_ahead());
  REQUIRE(rig.next.rows.size() == 1);
  CHECK(rig.next.rows[0].sequence == SequenceId{2});
  CHECK(rig.next.rows[0].source_sample == 1);
  rig.update_and_go_on();
  CHECK(finishes_of(rig.events, 1) == std::vector<FinishReason>{FinishReason::kLength});
  CHECK_FALSE(rig.schedule_ahead());  // the token in flight is the last of all
  rig.update();
  CHECK(rig.scheduler.idle());
}

TEST_CASE("a paused one is left out, and once it goes on schedule() has it again") {
  TwoInFlight t;
  t.rig.scheduler.set_paused(SequenceId{1}, true, t.rig.now);
  REQUIRE(t.rig.schedule_ahead());
  REQUIRE(t.rig.next.rows.size() == 1);
  CHECK(t.rig.next.rows[0].source_sample == 1);
  t.rig.update_and_go_on();
  CHECK(tokens_of(t.rig.events, 1) == std::vector<TokenId>{1005});  // it was in flight
  t.rig.scheduler.set_paused(SequenceId{1}, false, t.rig.now);
  CHECK_FALSE(t.rig.schedule_ahead());
  t.rig.update();
  CHECK(t.rig.schedule().rows.size() == 2);
}

TEST_CASE("min_tokens counts the token in flight") {
  Rig rig;
  rig.add({.id = 1, .max_tokens = 8}, [](Sequence& sequence) { sequence.params.min_tokens = 2; });
  rig.schedule();
  CHECK(rig.plan.samples[0].mask_end_tokens);
  REQUIRE(rig.schedule_ahead());
  CHECK(rig.next.samples[0].mask_end_tokens);
  rig.update_and_go_on();
  REQUIRE(rig.schedule_ahead());
  CHECK_FALSE(rig.next.samples[0].mask_end_tokens);
}

TEST_CASE("no step ahead of a prompt that goes on, or that is scored") {
  RigOptions options;
  options.scheduler.max_num_batched_tokens = 8;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 12, .max_tokens = 8});
  rig.schedule();
  CHECK_FALSE(rig.schedule_ahead());
  rig.update();
  rig.schedule();
  CHECK(rig.schedule_ahead());  // its end chooses a token
  rig.update_and_go_on();
  rig.update();
  rig.add({.id = 2, .prompt = 4}, [](Sequence& s) { s.params.prompt_logprobs = true; });
  rig.schedule();
  CHECK_FALSE(rig.schedule_ahead());
}

TEST_CASE("no step ahead where the sampler wants the tokens so far") {
  const int which = GENERATE(0, 1, 2);
  Rig rig;
  rig.add({.id = 1, .max_tokens = 8});
  rig.add({.id = 2, .max_tokens = 8}, [which](Sequence& sequence) {
    if (which == 0) sequence.params.repetition_penalty = 1.1f;
    if (which == 1) sequence.params.presence_penalty = 0.5f;
    if (which == 2) sequence.params.frequency_penalty = -0.5f;
  });
  rig.schedule();
  CHECK_FALSE(rig.schedule_ahead());
}

TEST_CASE("no step ahead while someone may get a seat") {
  TwoInFlight t;
  t.rig.add({.id = 3});
  CHECK_FALSE(t.rig.schedule_ahead());
  t.rig.update();
  CHECK(t.rig.schedule().rows.size() == 3);
  CHECK(t.rig.schedule_ahead());
}

TEST_CASE("who waits for a seat or for blocks does not hold up those that run") {
  RigOptions options;
  const bool seats = GENERATE(true, false);
  (seats ? options.scheduler.max_num_seqs : options.num_blocks) = seats ? 2 : 7;
  TwoInFlight t(options);
  t.rig.add({.id = 3, .prompt = 16});
  REQUIRE(t.rig.schedule_ahead());
  CHECK(t.rig.row_of(3) == nullptr);
  t.rig.update_and_go_on();
  REQUIRE(t.rig.schedule_ahead());
  t.rig.update_and_go_on();
  t.rig.scheduler.finish(SequenceId{1});
  CHECK_FALSE(t.rig.schedule_ahead());
  t.rig.update();
  t.rig.schedule();
  CHECK(t.rig.row_of(3) != nullptr);
}

TEST_CASE("who waits for blocks starts once what it shares with another is computed") {
  RigOptions options;
  options.num_blocks = 20;
  options.enable_prefix_caching = true;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 44, .max_tokens = 34});
  rig.add({.id = 2, .prompt = 44, .max_tokens = 2});
  rig.schedule();
  REQUIRE(rig.row_of(2) == nullptr);  // 11 blocks, and 9 are free
  REQUIRE(rig.schedule_ahead());
  rig.update_and_go_on();
  CHECK_FALSE(rig.schedule_ahead());
  rig.update();
  rig.schedule();
  REQUIRE(rig.row_of(2) != nullptr);
  CHECK(rig.row_of(2)->num_tokens == 1);
}

TEST_CASE("no step ahead where a paused one would have to give way") {
  RigOptions options;
  options.scheduler.max_num_seqs = 2;
  TwoInFlight t(options);
  t.rig.add({.id = 3});
  REQUIRE(t.rig.schedule_ahead());
  t.rig.scheduler.set_paused(SequenceId{1}, true, t.rig.now);
  t.rig.update_and_go_on();
  CHECK_FALSE(t.rig.schedule_ahead());
}

TEST_CASE("no step ahead past a deadline") {
  RigOptions options;
  options.scheduler.request_deadline = minutes(1);
  TwoInFlight t(options);
  t.rig.now += minutes(1);
  CHECK_FALSE(t.rig.schedule_ahead());
  t.rig.update();
  t.rig.schedule();
  CHECK(finishes_of(t.rig.events, 1) == std::vector<FinishReason>{FinishReason::kAbort});
}

TEST_CASE("no step ahead that would have to preempt") {
  RigOptions options;
  options.num_blocks = 4;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 7, .max_tokens = 8});
  rig.add({.id = 2, .prompt = 7, .max_tokens = 8});
  rig.schedule();
  REQUIRE(rig.schedule_ahead());  // their eighth tokens
  rig.update_and_go_on();
  CHECK_FALSE(rig.schedule_ahead());
  CHECK(rig.scheduler.stats().num_preemptions == 0);
  rig.update();
  rig.schedule();
  CHECK(rig.scheduler.stats().num_preemptions == 1);
}

TEST_CASE("no step ahead of a forced preemption") {
  RigOptions options;
  options.scheduler.force_preempt_every = 3;
  TwoInFlight t(options);  // the second step is in flight
  CHECK_FALSE(t.rig.schedule_ahead());
  t.rig.update();
  t.rig.schedule();
  CHECK(t.rig.scheduler.stats().num_preemptions == 1);
  CHECK(t.rig.schedule_ahead());
}

TEST_CASE("no step ahead while pages are copied") {
  RigOptions options;
  options.enable_prefix_caching = true;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 8, .max_tokens = 20});
  rig.step();
  rig.add({.id = 2, .prompt = 7, .max_tokens = 20});  // a partly equal page
  rig.schedule();
  REQUIRE(rig.plan.copies.size() == 1);
  CHECK_FALSE(rig.schedule_ahead());
  rig.update();
  rig.schedule();
  CHECK(rig.schedule_ahead());
}

RigOptions with_host_memory() {
  RigOptions options;
  options.enable_prefix_caching = true;
  options.num_blocks = 2048;
  options.num_host_slots = 2048;
  options.scheduler.max_num_seqs = 32;
  options.scheduler.max_num_batched_tokens = 2048;
  options.scheduler.max_model_len = 256;
  return options;
}

TEST_CASE("a page on its way out waits, and goes before its block is written again") {
  RigOptions options = with_host_memory();
  options.num_blocks = 3;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 5, .max_tokens = 7});
  rig.step();  // a page is full
  REQUIRE(rig.cache.copies_out().size() == 1);
  const BlockId source = rig.cache.copies_out()[0].from;
  rig.schedule();
  CHECK(rig.plan.copies.empty());
  REQUIRE(rig.schedule_ahead());
  CHECK(rig.next.copies.empty());
  rig.update_and_go_on();
  rig.update();
  CHECK(rig.cache.copies_out().size() == 1);
  rig.scheduler.abort(SequenceId{1});
  rig.add({.id = 2, .prompt = 12, .max_tokens = 0}, [](Sequence& s) { s.tokens[0] = 7; });
  rig.schedule();  // takes all three blocks
  REQUIRE(rig.plan.copies.size() == 1);
  CHECK(rig.plan.copies[0].from == source);
  CHECK(std::ranges::count(rig.plan.block_ids, source) == 1);
  rig.update();
}

TEST_CASE("a prompt's pages go out with the next step") {
  Rig rig(with_host_memory());
  rig.add({.id = 1, .prompt = 9, .max_tokens = 9});
  rig.schedule();
  CHECK(rig.schedule_ahead());
  rig.update_and_go_on();
  CHECK_FALSE(rig.schedule_ahead());
  rig.update();
  rig.schedule();
  CHECK(rig.plan.copies.size() == 2);
  rig.update();
}

TEST_CASE("no step ahead in whose block is a page that has yet to go out") {
  RigOptions options = with_host_memory();
  options.num_blocks = 3;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 4, .max_tokens = 1}, [](Sequence& s) { s.tokens[0] = 7; });
  rig.add({.id = 2, .prompt = 6, .max_tokens = 6});
  rig.step();
  REQUIRE(rig.cache.copies_out().size() == 2);  // a page of each; the first has ended
  rig.schedule();                               // its seventh token
  CHECK(rig.plan.copies.empty());
  REQUIRE(rig.schedule_ahead());  // the eighth
  rig.update_and_go_on();
  CHECK_FALSE(rig.schedule_ahead());  // the ninth, in the block of the first
  rig.update();
  rig.schedule();
  CHECK(rig.plan.copies.size() == 3);
  rig.update();
}

TEST_CASE("with host memory most steps are planned ahead all the same") {
  Rig rig(with_host_memory());
  for (std::uint64_t id = 1; id <= 32; ++id) {
    rig.add({.id = id, .prompt = static_cast<std::int32_t>(id), .max_tokens = 200},
            [id](Sequence& s) { s.tokens[0] = static_cast<TokenId>(id); });
  }
  int num_ahead = 0;
  run_ahead(rig, num_ahead);
  CHECK(num_ahead >= 120);
  CHECK(rig.cache.tiers().stats().host_writes >= 32 * 49);
}

}  // namespace
}  // namespace quire::scheduler
