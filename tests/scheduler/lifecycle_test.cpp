// Ends that come from outside the model: abort, finish, pause, time, failure; and the bounded
// queue.

#include "tests/scheduler/rig.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::scheduler {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

void check_all_free(const Rig& rig) {
  CHECK(rig.cache.usage().free_blocks == rig.cache.usage().total_blocks);
}

TEST_CASE("abort while waiting, prefilling, decoding and paused") {
  RigOptions options;
  options.scheduler.max_num_seqs = 3;
  options.scheduler.max_num_batched_tokens = 8;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 2, .max_tokens = 8});
  rig.add({.id = 2, .prompt = 2, .max_tokens = 8});
  rig.add({.id = 3, .prompt = 20, .max_tokens = 8});
  rig.add({.id = 4});
  rig.step();
  rig.scheduler.set_paused(SequenceId{2}, true, rig.now);
  for (const std::uint64_t id : {4, 3, 2, 1}) {
    CHECK(rig.scheduler.abort(SequenceId{id}));
    rig.check();
    CHECK_FALSE(rig.scheduler.abort(SequenceId{id}));
    CHECK_FALSE(rig.scheduler.finish(SequenceId{id}));
  }
  CHECK(rig.scheduler.idle());
  check_all_free(rig);
  CHECK(rig.scheduler.stats().num_aborted == 4);
  CHECK(rig.schedule().empty());
  CHECK(rig.events.empty());
}

TEST_CASE("abort after preemption finds the sequence in the queue") {
  RigOptions options;
  options.num_blocks = 3;
  Rig rig(options);
  rig.add({.id = 1, .max_tokens = 8});
  rig.add({.id = 2, .max_tokens = 8});
  while (rig.scheduler.stats().num_preemptions == 0) rig.step();
  CHECK(rig.scheduler.abort(SequenceId{2}));
  rig.check();
  const auto events = rig.run();
  CHECK(finishes_of(events, 1).size() == 1);
  CHECK(finishes_of(events, 2).empty());
  check_all_free(rig);
}

TEST_CASE("abort while the step runs drops the row's results and nothing else") {
  Rig rig;
  rig.add({.id = 1});
  rig.add({.id = 2});
  rig.add({.id = 3});
  rig.schedule();
  CHECK(rig.scheduler.abort(SequenceId{2}));
  rig.check();
  CHECK(rig.plan.samples[1].params->max_tokens == 4);  // the plan stays readable
  rig.update();
  CHECK(tokens_of(rig.events, 1).size() == 1);
  CHECK(tokens_of(rig.events, 2).empty());
  CHECK(tokens_of(rig.events, 3).size() == 1);
  rig.run();
  check_all_free(rig);
}

TEST_CASE("finish frees the blocks and counts as finished") {
  Rig rig;
  rig.add({.id = 1});
  rig.step();
  CHECK(rig.scheduler.finish(SequenceId{1}));
  rig.check();
  check_all_free(rig);
  CHECK(rig.scheduler.stats().num_finished == 1);
  CHECK(rig.scheduler.stats().num_aborted == 0);
}

TEST_CASE("a paused sequence keeps its blocks, is left out, and goes on where it was") {
  Rig rig;
  rig.add({.id = 1});
  rig.add({.id = 2});
  rig.step();
  rig.scheduler.set_paused(SequenceId{1}, true, rig.now);
  rig.check();
  rig.schedule();
  CHECK(rig.row_of(1) == nullptr);
  CHECK(rig.row_of(2) != nullptr);
  rig.update();
  rig.scheduler.set_paused(SequenceId{1}, false, rig.now);
  rig.check();
  rig.schedule();
  CHECK(rig.row_of(1)->first_position == 4);
  CHECK(rig.scheduler.stats().num_preemptions == 0);
  rig.update();
  rig.run();
}

TEST_CASE("paused while the step runs: the step's token is still told") {
  Rig rig;
  rig.add({.id = 1});
  rig.schedule();
  rig.scheduler.set_paused(SequenceId{1}, true, rig.now);
  rig.update();
  CHECK(tokens_of(rig.events, 1).size() == 1);
  CHECK(rig.schedule().empty());
}

TEST_CASE("a paused sequence gives its blocks to others, even if it comes first") {
  RigOptions options;
  options.num_blocks = 3;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 4, .max_tokens = 8});
  rig.step();
  rig.scheduler.set_paused(SequenceId{1}, true, rig.now);
  rig.add({.id = 2, .prompt = 11, .max_tokens = 1});
  const auto& events = rig.step();
  CHECK(finishes_of(events, 2).size() == 1);
  CHECK(rig.scheduler.stats().num_preemptions == 1);
  CHECK(rig.schedule().empty());  // the paused one waits outside the queue

  rig.scheduler.set_paused(SequenceId{1}, false, rig.now);
  rig.schedule();
  CHECK(rig.row_of(1)->num_tokens == 5);
  rig.update();
  CHECK(finishes_of(rig.run(), 1) == std::vector<FinishReason>{FinishReason::kLength});
}

TEST_CASE("paused ones do not hold the seats against the queue") {
  RigOptions options;
  options.scheduler.max_num_seqs = 1;
  Rig rig(options);
  rig.add({.id = 1});
  rig.step();
  rig.scheduler.set_paused(SequenceId{1}, true, rig.now);
  rig.add({.id = 2});
  rig.schedule();
  CHECK(rig.row_of(2) != nullptr);
  CHECK(rig.scheduler.stats().waiting == 1);
}

TEST_CASE("a paused head does not hold up the queue") {
  Rig rig;
  rig.add({.id = 1});
  rig.scheduler.set_paused(SequenceId{1}, true, rig.now);
  rig.add({.id = 2});
  rig.schedule();
  CHECK(rig.row_of(1) == nullptr);
  CHECK(rig.row_of(2) != nullptr);
}

TEST_CASE("a client that does not read for stall_timeout is aborted, not a moment earlier") {
  RigOptions options;
  options.scheduler.stall_timeout = seconds(30);
  Rig rig(options);
  rig.add({.id = 1});
  rig.step();
  rig.now += seconds(5);
  rig.scheduler.set_paused(SequenceId{1}, true, rig.now);
  CHECK(rig.scheduler.next_deadline() == rig.now + seconds(30));
  rig.now += seconds(1);
  rig.scheduler.set_paused(SequenceId{1}, true, rig.now);  // said again: no new patience
  rig.now += milliseconds(28'999);
  rig.schedule();
  CHECK(rig.events.empty());
  rig.now += milliseconds(1);
  rig.schedule();
  CHECK(finishes_of(rig.events, 1) == std::vector<FinishReason>{FinishReason::kAbort});
  CHECK(rig.scheduler.idle());
  CHECK(rig.scheduler.stats().num_aborted == 1);
  check_all_free(rig);
}

TEST_CASE("resuming ends the wait for a reader") {
  Rig rig;
  rig.add({.id = 1});
  rig.scheduler.set_paused(SequenceId{1}, true, rig.now);
  rig.now += seconds(29);
  rig.scheduler.set_paused(SequenceId{1}, false, rig.now);
  rig.now += seconds(29);
  rig.schedule();
  CHECK(rig.events.empty());
  CHECK(rig.row_of(1) != nullptr);
}

TEST_CASE("the deadline ends a sequence in whatever state, in order of time") {
  RigOptions options;
  options.scheduler.max_num_seqs = 1;
  options.scheduler.request_deadline = minutes(10);
  Rig rig(options);
  const Clock::time_point start = rig.now;
  rig.add({.id = 1, .prompt = 4, .max_tokens = 100});
  rig.now += seconds(1);
  rig.add({.id = 2});
  rig.step();
  CHECK(rig.scheduler.next_deadline() == start + minutes(10));
  rig.now = start + minutes(11);
  rig.schedule();
  REQUIRE(rig.events.size() == 2);
  CHECK(rig.events[0].sequence == SequenceId{1});
  CHECK(rig.events[1].sequence == SequenceId{2});
  CHECK(rig.events[1].finish == FinishReason::kAbort);
  CHECK(rig.scheduler.next_deadline() == std::nullopt);
  check_all_free(rig);
}

TEST_CASE("a deadline without end does not overflow") {
  RigOptions options;
  options.scheduler.request_deadline = milliseconds::max();
  Rig rig(options);
  rig.now += minutes(5);
  rig.add({.id = 1});
  CHECK(rig.scheduler.next_deadline() == Clock::time_point::max());
  CHECK(finishes_of(rig.run(), 1) == std::vector<FinishReason>{FinishReason::kLength});
}

TEST_CASE("fail_all ends each sequence once, with the reason") {
  RigOptions options;
  options.scheduler.max_num_seqs = 2;
  Rig rig(options);
  for (std::uint64_t id = 1; id <= 4; ++id) rig.add({.id = id});
  rig.schedule();
  rig.scheduler.set_paused(SequenceId{2}, true, rig.now);
  std::vector<TokenEvent> events;
  rig.scheduler.fail_all(FinishReason::kError, events);
  rig.check();
  for (std::uint64_t id = 1; id <= 4; ++id) {
    CHECK(finishes_of(events, id) == std::vector<FinishReason>{FinishReason::kError});
  }
  CHECK(rig.scheduler.idle());
  check_all_free(rig);
}

TEST_CASE("the queue is bounded by those that wait") {
  RigOptions options;
  options.scheduler.max_queue_len = 3;
  options.scheduler.max_num_seqs = 2;
  Rig rig(options);
  CHECK(rig.scheduler.queue_has_room(3));
  CHECK_FALSE(rig.scheduler.queue_has_room(4));
  for (std::uint64_t id = 1; id <= 3; ++id) rig.add({.id = id});
  CHECK_FALSE(rig.scheduler.queue_has_room(1));
  rig.step();
  CHECK(rig.scheduler.queue_has_room(2));
  CHECK_FALSE(rig.scheduler.queue_has_room(3));
}

TEST_CASE("a scheduler that is destroyed gives its blocks back") {
  cache::KvCacheManager cache({.num_blocks = 8}, test_spec(4));
  {
    Scheduler scheduler({.max_num_seqs = 2, .eos_token_ids = {kEos}}, cache);
    scheduler.add(Rig::make({.id = 1}));
    scheduler.add(Rig::make({.id = 2}));
    StepPlan plan;
    std::vector<TokenEvent> events;
    scheduler.schedule({}, plan, events);
    CHECK(cache.usage().free_blocks < 8);
  }
  CHECK(cache.usage().free_blocks == 8);
}

}  // namespace
}  // namespace quire::scheduler
