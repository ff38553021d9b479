// How a sequence ends by what the model says.

#include "tests/scheduler/rig.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::scheduler {
namespace {

constexpr TokenId kStopId = 7;

// The events of one sequence (id 1) whose third token is `third`.
std::vector<TokenEvent> run_with_third_token(TokenId third,
                                             const std::function<void(Sequence&)>& change) {
  Rig rig;
  rig.answer = [third](SequenceId, const StepSample& sample) {
    return sample.position == 6 ? third : 1000 + sample.position;
  };
  rig.add({.id = 1, .prompt = 4, .max_tokens = 5}, change);
  return rig.run();
}

TEST_CASE("an end token ends with its own event, and no stop token is told") {
  const auto events = run_with_third_token(kEos, [](Sequence&) {});
  REQUIRE(events.size() == 3);
  CHECK(events[2].token == kEos);
  CHECK(events[2].finish == FinishReason::kStop);
  CHECK(events[2].stop_token == kNoToken);
}

TEST_CASE("ignore_eos goes on over end tokens") {
  const auto events =
      run_with_third_token(kEos, [](Sequence& sequence) { sequence.params.ignore_eos = true; });
  REQUIRE(events.size() == 5);
  CHECK(events[2].finish == FinishReason::kNone);
  CHECK(events[4].finish == FinishReason::kLength);
}

TEST_CASE("a stop token id ends and is named, also under ignore_eos") {
  for (const bool ignore_eos : {false, true}) {
    const auto events = run_with_third_token(kStopId, [&](Sequence& sequence) {
      sequence.params.stop_token_ids = {5, kStopId};
      sequence.params.ignore_eos = ignore_eos;
    });
    REQUIRE(events.size() == 3);
    CHECK(events[2].token == kStopId);
    CHECK(events[2].finish == FinishReason::kStop);
    CHECK(events[2].stop_token == kStopId);
  }
}

TEST_CASE("an end token as the last allowed one is a stop, not the length") {
  const auto events =
      run_with_third_token(kEos, [](Sequence& sequence) { sequence.params.max_tokens = 3; });
  REQUIRE(events.size() == 3);
  CHECK(events[2].finish == FinishReason::kStop);
}

TEST_CASE("end tokens are masked until min_tokens are out") {
  Rig rig;
  rig.add({.id = 1, .prompt = 4, .max_tokens = 5},
          [](Sequence& sequence) { sequence.params.min_tokens = 2; });
  for (const bool masked : {true, true, false, false, false}) {
    rig.schedule();
    CHECK(rig.plan.samples.at(0).mask_end_tokens == masked);
    rig.update();
  }
  CHECK(rig.scheduler.idle());
}

TEST_CASE("max_tokens 0 computes the prompt and ends without a token") {
  Rig rig;
  rig.add({.id = 1, .prompt = 4, .max_tokens = 0});
  rig.schedule();
  CHECK(rig.plan.rows.size() == 1);
  CHECK(rig.plan.samples.empty());
  rig.update();
  REQUIRE(rig.events.size() == 1);
  CHECK(rig.events[0].token == kNoToken);
  CHECK(rig.events[0].finish == FinishReason::kLength);
  CHECK(rig.scheduler.idle());
}

TEST_CASE("max_tokens 0 with prompt_logprobs scores the prompt, then ends") {
  RigOptions options;
  options.scheduler.max_chunk = 2;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 5, .max_tokens = 0},
          [](Sequence& sequence) { sequence.params.prompt_logprobs = true; });
  const auto events = rig.run();
  REQUIRE(events.size() == 5);
  for (int i = 0; i < 4; ++i) {
    CHECK(events[i].is_prompt);
    CHECK(events[i].token == 101 + i);
    CHECK(events[i].finish == FinishReason::kNone);
  }
  CHECK_FALSE(events[4].is_prompt);
  CHECK(events[4].finish == FinishReason::kLength);
}

TEST_CASE("a prompt of one token has no position to score") {
  Rig rig;
  rig.add({.id = 1, .prompt = 1, .max_tokens = 1},
          [](Sequence& sequence) { sequence.params.prompt_logprobs = true; });
  const auto events = rig.run();
  REQUIRE(events.size() == 1);
  CHECK_FALSE(events[0].is_prompt);
}

TEST_CASE("a fault ends its own sequence alone") {
  Rig rig;
  rig.fault = [](SequenceId id, const StepSample& sample) {
    return id == SequenceId{2} && sample.position == 6;
  };
  for (std::uint64_t id = 1; id <= 3; ++id) rig.add({.id = id});
  const auto events = rig.run();
  CHECK(finishes_of(events, 2) == std::vector<FinishReason>{FinishReason::kError});
  CHECK(tokens_of(events, 2) == std::vector<TokenId>{1004, 1005});
  for (const std::uint64_t id : {1, 3}) {
    CHECK(tokens_of(events, id) == std::vector<TokenId>{1004, 1005, 1006, 1007});
    CHECK(finishes_of(events, id) == std::vector<FinishReason>{FinishReason::kLength});
  }
}

TEST_CASE("a fault while scoring the prompt ends the sequence once") {
  Rig rig;
  rig.fault = [](SequenceId, const StepSample& sample) { return sample.position >= 2; };
  rig.add({.id = 1, .prompt = 5},
          [](Sequence& sequence) { sequence.params.prompt_logprobs = true; });
  const auto events = rig.run();
  REQUIRE(events.size() == 2);
  CHECK(events[0].is_prompt);
  CHECK(events[1].finish == FinishReason::kError);
}

TEST_CASE("a choice that was put off is asked for again") {
  Rig rig;
  rig.add({.id = 1, .prompt = 4, .max_tokens = 1});
  rig.schedule();
  rig.output.clear();
  rig.output.step_id = rig.plan.step_id;
  rig.output.samples.push_back({.token_begin = 0, .num_tokens = 0});
  rig.scheduler.update(rig.plan, rig.output, rig.events);
  rig.check();
  CHECK(rig.events.empty());
  rig.schedule();
  CHECK(rig.row_of(1)->first_position == 3);
  CHECK(rig.row_of(1)->num_tokens == 1);
  CHECK(rig.plan.samples.at(0).position == 4);
  rig.update();
  CHECK(rig.events.at(0).finish == FinishReason::kLength);
}

TEST_CASE("logprobs and alternatives come through as the model told them") {
  Rig rig;
  rig.add({.id = 1, .prompt = 2, .max_tokens = 1});
  rig.schedule();
  rig.output.clear();
  rig.output.step_id = rig.plan.step_id;
  rig.output.top = {{8, -9.0f}, {3, -0.5f}, {4, -1.5f}};
  rig.output.tokens.push_back({.token = 3, .logprob = -0.5f, .top_begin = 1, .top_count = 2});
  rig.output.samples.push_back({.token_begin = 0, .num_tokens = 1});
  rig.scheduler.update(rig.plan, rig.output, rig.events);
  REQUIRE(rig.events.size() == 1);
  CHECK(rig.events[0].logprob == -0.5f);
  REQUIRE(rig.events[0].top.size() == 2);
  CHECK(rig.events[0].top[0] == TokenLogprob{3, -0.5f});
  CHECK(rig.events[0].top[1] == TokenLogprob{4, -1.5f});
}

}  // namespace
}  // namespace quire::scheduler
