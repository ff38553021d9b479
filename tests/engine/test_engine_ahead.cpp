// The engine thread over an executor that runs ahead: what is launched when, and that streams are
// told the same, whatever happens while two steps are in flight.

#include <algorithm>

#include "tests/engine/ahead_executor.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

using testing::AheadExecutor;
using testing::alphabet;
using testing::ExecutorCall;
using testing::id_of;

struct AheadEngine {
  explicit AheadEngine(testing::Script script = alphabet, EngineOptions options = {},
                       std::chrono::milliseconds delay = {}, std::int64_t num_blocks = 256) {
    auto made = std::make_unique<AheadExecutor>(std::move(script));
    made->delay = delay;
    executor = made.get();
    engine = testing::engine_over(std::move(made), std::move(options), num_blocks);
    engine->set_fatal_handler([this](const std::string&) { ++num_fatal; });
  }
  AheadExecutor* executor = nullptr;
  std::atomic<int> num_fatal{0};
  std::unique_ptr<Engine> engine;
};

GenerationRequest request_for(const std::string& prompt, std::int32_t max_tokens) {
  GenerationRequest request;
  std::vector<TokenId> ids;
  for (const char c : prompt) ids.push_back(id_of(c));
  request.prompts = {ids};
  request.sampling.max_tokens = max_tokens;
  request.sampling.temperature = 0.0f;
  return request;
}

struct Told {
  std::string text;
  std::int32_t num_output_tokens = 0;
  FinishReason finish = FinishReason::kNone;
  int finals = 0;
  friend bool operator==(const Told&, const Told&) = default;
};

std::vector<Told> read_all(TokenStream& stream, std::size_t num_choices) {
  std::vector<Told> told(num_choices);
  for (bool open = true; open;) {
    stream.wait();
    std::vector<Delta> deltas;
    open = stream.drain(deltas);
    for (const Delta& delta : deltas) {
      Told& choice = told.at(static_cast<std::size_t>(delta.choice));
      choice.text += delta.text;
      choice.num_output_tokens = delta.num_output_tokens;
      if (delta.finish == FinishReason::kNone) continue;
      choice.finish = delta.finish;
      ++choice.finals;
    }
  }
  return told;
}

std::vector<Told> run(Engine& engine, const GenerationRequest& request) {
  auto stream = engine.submit(request, nullptr);
  REQUIRE(stream.ok());
  return read_all(**stream, request.prompts.size() * static_cast<std::size_t>(request.n));
}

void wait_until(const std::function<bool()>& condition) {
  for (int i = 0; i < 20000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE(condition());
}

bool all_free(const Engine& engine) {
  return engine.status().free_blocks == engine.status().total_blocks;
}

std::size_t num_ahead(AheadExecutor& executor) {
  const auto calls = executor.calls();
  return static_cast<std::size_t>(std::ranges::count(calls, true, &ExecutorCall::is_ahead));
}

// Every step that was launched was collected, in order.
void check_collected(AheadExecutor& executor) {
  std::vector<std::uint64_t> launched, collected;
  for (const ExecutorCall& call : executor.calls()) {
    (call.is_launch ? launched : collected).push_back(call.step);
  }
  CHECK(launched == collected);
}

}  // namespace

TEST_CASE("a step is launched before the one before it is collected") {
  AheadEngine a;
  const auto told = run(*a.engine, request_for("xyz", 4));
  CHECK(told[0].text == "defg");
  CHECK(told[0].finish == FinishReason::kLength);
  a.engine->stop();
  // The first is the warm-up's.
  const std::vector<ExecutorCall> expected = {{.is_launch = true, .step = 1},
                                              {.step = 1},
                                              {.is_launch = true, .step = 2},
                                              {.is_launch = true, .step = 3, .is_ahead = true},
                                              {.step = 2},
                                              {.is_launch = true, .step = 4, .is_ahead = true},
                                              {.step = 3},
                                              {.is_launch = true, .step = 5, .is_ahead = true},
                                              {.step = 4},
                                              {.step = 5}};
  auto calls = a.executor->calls();
  // Steps that found nothing to do have numbers too.
  std::uint64_t skipped = 0, last = 0;
  for (ExecutorCall& call : calls) {
    if (call.is_launch && call.step > last) {
      skipped += call.step - last - 1;
      last = call.step;
    }
    call.step -= skipped;
  }
  CHECK(calls == expected);
}

TEST_CASE("nothing is launched behind a step that may not be followed") {
  AheadEngine a;
  a.executor->follow = false;
  CHECK(run(*a.engine, request_for("xyz", 4))[0].text == "defg");
  a.engine->stop();
  CHECK(num_ahead(*a.executor) == 0);
  check_collected(*a.executor);
}

TEST_CASE("streams are told the same with and without running ahead") {
  const auto script = [](std::span<const TokenId> history) {
    std::uint64_t hash = 7;
    for (const TokenId token : history) hash = hash * 1099511628211u + static_cast<unsigned>(token);
    return hash % 40 == 0 ? testing::kEos : id_of(static_cast<char>('a' + (hash >> 8) % 26));
  };
  EngineOptions options;
  options.scheduler.max_num_seqs = 6;
  options.scheduler.max_num_batched_tokens = 16;
  const std::int64_t num_blocks = GENERATE(24, 256);  // few blocks: preemption happens
  const int put_off_every = GENERATE(0, 13);
  auto plain = testing::fake_engine(script, options, num_blocks);
  AheadEngine ahead(script, options, {}, num_blocks);
  ahead.executor->put_off_every = put_off_every;
  const auto answers = [&](Engine& engine) {
    std::vector<std::unique_ptr<TokenStream>> streams;
    for (int i = 0; i < 20; ++i) {
      GenerationRequest request =
          request_for(std::string(static_cast<std::size_t>(1 + i * 5 % 23), 'q'), 20 + i * 3);
      request.prompts[0].back() = id_of(static_cast<char>('a' + i));
      request.n = 1 + i % 2;
      if (i % 3 == 0) request.stop = {"e", "xx"};
      if (i % 5 == 0) request.sampling.min_tokens = 9;
      auto stream = engine.submit(request, nullptr);
      REQUIRE(stream.ok());
      streams.push_back(std::move(stream).value());
    }
    std::vector<std::vector<Told>> told;
    for (std::size_t i = 0; i < streams.size(); ++i)
      told.push_back(read_all(*streams[i], 1 + i % 2));
    return told;
  };
  CHECK(answers(*ahead.engine) == answers(*plain));
  wait_until([&] { return all_free(*ahead.engine); });
  CHECK(num_ahead(*ahead.executor) > 10);
  ahead.engine->stop();
  check_collected(*ahead.executor);
}

TEST_CASE("a stop string ends its sequence while the next token is computed") {
  AheadEngine a;
  GenerationRequest request = request_for("xyz", 1000);
  request.stop = {"hij"};
  const auto told = run(*a.engine, request);
  CHECK(told[0].text == "defg");
  CHECK(told[0].num_output_tokens == 7);
  CHECK(told[0].finals == 1);
  wait_until([&] { return all_free(*a.engine); });
  CHECK(a.engine->status().generation_tokens == 7);  // nothing of the row ahead
}

TEST_CASE("readers that go away while steps are in flight free their blocks") {
  AheadEngine a(alphabet, {}, std::chrono::milliseconds(1));
  auto stays = a.engine->submit(request_for("stay", 300), nullptr);
  REQUIRE(stays.ok());
  for (int i = 0; i < 20; ++i) {
    auto stream = a.engine->submit(request_for("hello", 1500), nullptr);
    REQUIRE(stream.ok());
    if (i % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  const auto told = read_all(**stays, 1);
  CHECK(told[0].text.size() == 300);
  CHECK(told[0].text.substr(0, 3) == "efg");
  wait_until([&] { return a.engine->status().requests_aborted == 20 && all_free(*a.engine); });
  CHECK(num_ahead(*a.executor) > 100);
}

TEST_CASE("a reader that does not read gets everything all the same") {
  EngineOptions options;
  options.scheduler.max_model_len = 16384;
  AheadEngine a(alphabet, options, {}, 2048);
  auto slow = a.engine->submit(request_for("x", 10000), nullptr);
  REQUIRE(slow.ok());
  wait_until([&] { return a.engine->status().generation_tokens >= 4096; });
  CHECK(run(*a.engine, request_for("x", 100))[0].text.size() == 100);
  CHECK(a.engine->status().generation_tokens < 4096 + 100 + 20);
  const auto told = read_all(**slow, 1);
  REQUIRE(told[0].text.size() == 10000);
  bool in_order = true;
  for (std::size_t i = 0; i < 10000; ++i) {
    in_order = in_order && told[0].text[i] == static_cast<char>('a' + (i + 1) % 26);
  }
  CHECK(in_order);
}

TEST_CASE("a device that is lost with steps in flight ends every stream with an error") {
  AheadEngine a(alphabet, {}, std::chrono::milliseconds(1));
  auto stream = a.engine->submit(request_for("x", 1500), nullptr);
  REQUIRE(stream.ok());
  (*stream)->wait();
  const int where = GENERATE(0, 1, 2);
  if (where == 0) a.executor->fail_launch_ahead = true;
  if (where == 1) a.executor->fail_collect = true;
  if (where == 2) {
    a.executor->fail_launch = true;
    a.executor->follow = false;  // so that a step is launched that is not ahead
  }
  const auto told = read_all(**stream, 1);
  CHECK(told[0].finish == FinishReason::kError);
  CHECK(told[0].finals == 1);
  wait_until([&] { return a.num_fatal == 1; });
  CHECK_FALSE(a.engine->status().alive);
  CHECK_FALSE(a.engine->submit(request_for("x", 1), nullptr).ok());
}

TEST_CASE("stopping waits for the step in flight") {
  AheadEngine a(alphabet, {}, std::chrono::milliseconds(1));
  auto stream = a.engine->submit(request_for("x", 1900), nullptr);
  REQUIRE(stream.ok());
  (*stream)->wait();
  a.engine->stop();
  const auto told = read_all(**stream, 1);
  CHECK(told[0].finish == FinishReason::kAbort);
  CHECK(told[0].finals == 1);
  CHECK(num_ahead(*a.executor) > 0);
  check_collected(*a.executor);
}

}  // namespace quire::engine
