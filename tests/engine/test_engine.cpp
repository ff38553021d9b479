// The engine thread and its streams over a fake model: every request ends exactly once, whatever
// readers do.

#include "tests/engine/fake_engine.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace quire::engine {
namespace {

using testing::alphabet;
using testing::fake_engine;
using testing::id_of;

GenerationRequest request_for(const std::string& prompt, std::int32_t max_tokens) {
  GenerationRequest request;
  std::vector<TokenId> ids;
  for (const char c : prompt) ids.push_back(id_of(c));
  request.prompts = {ids};
  request.sampling.max_tokens = max_tokens;
  request.sampling.temperature = 0.0f;
  return request;
}

struct ChoiceResult {
  std::string text;
  std::vector<StreamToken> tokens;
  std::int32_t num_output_tokens = 0;
  FinishReason finish = FinishReason::kNone;
  std::variant<std::monostate, TokenId, std::string> stop_reason;
  int finals = 0;
};

// Reads a stream to its end.
std::vector<ChoiceResult> read_all(TokenStream& stream, std::size_t num_choices) {
  std::vector<ChoiceResult> results(num_choices);
  bool open = true;
  while (open) {
    stream.wait();
    std::vector<Delta> deltas;
    open = stream.drain(deltas);
    for (Delta& delta : deltas) {
      ChoiceResult& result = results.at(static_cast<std::size_t>(delta.choice));
      result.text += delta.text;
      for (auto& token : delta.tokens) result.tokens.push_back(token);
      result.num_output_tokens = delta.num_output_tokens;
      if (delta.finish != FinishReason::kNone) {
        result.finish = delta.finish;
        result.stop_reason = delta.stop_reason;
        ++result.finals;
      }
    }
  }
  return results;
}

std::vector<ChoiceResult> run(Engine& engine, const GenerationRequest& request) {
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

}  // namespace

TEST_CASE("a request runs to max_tokens and says so once") {
  auto engine = fake_engine(alphabet);
  const auto results = run(*engine, request_for("xyz", 5));
  CHECK(results[0].text == "defgh");
  CHECK(results[0].finish == FinishReason::kLength);
  CHECK(results[0].num_output_tokens == 5);
  CHECK(results[0].finals == 1);
}

TEST_CASE("the end token ends a choice and is no text") {
  auto engine = fake_engine([](std::span<const TokenId> history) {
    return history.size() < 6 ? id_of('a') : testing::kEos;
  });
  const auto results = run(*engine, request_for("xyz", 50));
  CHECK(results[0].text == "aaa");
  CHECK(results[0].finish == FinishReason::kStop);
  CHECK(results[0].num_output_tokens == 4);
}

TEST_CASE("a stop string across tokens cuts the text and ends the sequence") {
  auto engine = fake_engine(alphabet);
  GenerationRequest request = request_for("xyz", 1000);
  request.stop = {"nope", "hij"};
  auto results = run(*engine, request);
  CHECK(results[0].text == "defg");
  CHECK(results[0].finish == FinishReason::kStop);
  CHECK(std::get<std::string>(results[0].stop_reason) == "hij");
  CHECK(results[0].num_output_tokens == 7);

  request.include_stop_str_in_output = true;
  CHECK(run(*engine, request)[0].text == "defghij");
  request.sampling.min_tokens = 8;
  CHECK(run(*engine, request)[0].text.size() > 20);
  wait_until([&] { return engine->status().free_blocks == engine->status().total_blocks; });
}

TEST_CASE("a character in two tokens is told whole, and cut in half it is a replacement") {
  auto engine = fake_engine([](std::span<const TokenId> history) {
    return history.size() % 2 == 0 ? testing::kFirstHalf : testing::kSecondHalf;
  });
  CHECK(run(*engine, request_for("ab", 4))[0].text == "\xC3\xA9\xC3\xA9");
  CHECK(run(*engine, request_for("ab", 3))[0].text == "\xC3\xA9\xEF\xBF\xBD");
}

TEST_CASE("several prompts and choices share a stream") {
  auto engine = fake_engine(alphabet);
  GenerationRequest request = request_for("x", 3);
  request.prompts.push_back(request_for("xxxx", 3).prompts[0]);
  request.n = 2;
  const auto results = run(*engine, request);
  REQUIRE(results.size() == 4);
  CHECK(results[0].text == "bcd");
  CHECK(results[1].text == "bcd");
  CHECK(results[2].text == "efg");
  CHECK(results[3].text == "efg");
  for (const auto& result : results) CHECK(result.finals == 1);
}

TEST_CASE("logprobs come with their tokens, prompt tokens first") {
  auto engine = fake_engine(alphabet);
  GenerationRequest request = request_for("xyz", 2);
  request.sampling.num_logprobs = 3;
  request.sampling.prompt_logprobs = true;
  const auto results = run(*engine, request);
  REQUIRE(results[0].tokens.size() == 4);
  CHECK(results[0].tokens[0].is_prompt);
  CHECK(results[0].tokens[0].token.token == id_of('y'));
  CHECK(results[0].tokens[1].is_prompt);
  CHECK_FALSE(results[0].tokens[2].is_prompt);
  CHECK(results[0].tokens[3].top.size() == 3);
  CHECK(results[0].tokens[3].token.token == id_of('e'));
}

TEST_CASE("a reader that does not read makes its sequence wait, and nothing is lost") {
  EngineOptions options;
  options.scheduler.max_model_len = 16384;
  auto engine = fake_engine(alphabet, options, 2048);
  auto slow = engine->submit(request_for("x", 10000), nullptr);
  REQUIRE(slow.ok());
  wait_until([&] { return engine->status().generation_tokens >= 4096; });
  // The full one does not stop another.
  CHECK(run(*engine, request_for("x", 100))[0].text.size() == 100);
  CHECK(engine->status().generation_tokens < 4096 + 100 + 20);
  const auto results = read_all(**slow, 1);
  CHECK(results[0].text.size() == 10000);
  CHECK(results[0].text.substr(0, 4) == "bcde");
  CHECK(results[0].finish == FinishReason::kLength);
}

TEST_CASE("a reader that goes away frees its blocks") {
  auto engine = fake_engine(alphabet, {}, 256, nullptr, std::chrono::milliseconds(1));
  for (int i = 0; i < 20; ++i) {
    auto stream = engine->submit(request_for("hello", 1500), nullptr);
    REQUIRE(stream.ok());
    if (i % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  wait_until([&] {
    const EngineStatus status = engine->status();
    return status.requests_aborted == 20 && status.free_blocks == status.total_blocks;
  });
}

TEST_CASE("what can never fit is refused, and a full queue is") {
  EngineOptions options;
  options.scheduler.max_num_seqs = 2;
  options.scheduler.max_queue_len = 3;
  auto engine = fake_engine(alphabet, options, 64, nullptr, std::chrono::milliseconds(2));
  auto too_long = engine->submit(request_for("x", 2048), nullptr);
  REQUIRE_FALSE(too_long.ok());
  CHECK(too_long.error().code == ErrorCode::kInvalidRequest);
  CHECK(too_long.error().message.find("2048") != std::string::npos);

  std::vector<std::unique_ptr<TokenStream>> streams;
  for (int i = 0; i < 5; ++i) {
    auto stream = engine->submit(request_for("x", 200), nullptr);
    REQUIRE(stream.ok());
    streams.push_back(std::move(stream).value());
  }
  auto refused = engine->submit(request_for("x", 200), nullptr);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kOverloaded);
  for (auto& stream : streams) CHECK(read_all(*stream, 1)[0].finals == 1);
  wait_until([&] { return engine->submit(request_for("x", 1), nullptr).ok(); });
}

TEST_CASE("a lost device ends every stream with an error") {
  testing::FakeExecutor* executor = nullptr;
  auto engine = fake_engine(alphabet, {}, 256, &executor, std::chrono::milliseconds(1));
  std::atomic<int> told{0};
  engine->set_fatal_handler([&](const std::string&) { ++told; });
  auto stream = engine->submit(request_for("x", 1500), nullptr);
  REQUIRE(stream.ok());
  (*stream)->wait();
  executor->fail = true;
  const auto results = read_all(**stream, 1);
  CHECK(results[0].finish == FinishReason::kError);
  wait_until([&] { return told == 1; });
  engine->set_fatal_handler([&](const std::string&) { ++told; });
  CHECK(told == 2);  // it had failed already
  CHECK_FALSE(engine->status().alive);
  auto refused = engine->submit(request_for("x", 1), nullptr);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::kUnavailable);
}

TEST_CASE("draining refuses the new and finishes the old, stopping ends them") {
  auto engine = fake_engine(alphabet, {}, 256, nullptr, std::chrono::milliseconds(1));
  auto first = engine->submit(request_for("x", 30), nullptr);
  auto second = engine->submit(request_for("x", 1900), nullptr);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  engine->begin_drain();
  CHECK_FALSE(engine->status().ready);
  CHECK_FALSE(engine->submit(request_for("x", 1), nullptr).ok());
  CHECK(read_all(**first, 1)[0].finish == FinishReason::kLength);
  engine->stop();
  const auto results = read_all(**second, 1);
  CHECK(results[0].finish == FinishReason::kAbort);
  CHECK(results[0].finals == 1);
}

TEST_CASE("many readers at once, some leaving: every request is accounted for") {
  EngineOptions options;
  options.scheduler.max_num_seqs = 16;
  auto engine = fake_engine(alphabet, options, 24);  // few blocks: preemption happens
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 60; ++i) {
        auto stream = engine->submit(request_for("abc", 60 + (i * 7 + t) % 50), nullptr);
        if (!stream.ok()) {
          ++wrong;
          continue;
        }
        if (i % 5 == t % 5) continue;  // leaves at once
        const auto results = read_all(**stream, 1);
        if (results[0].finals != 1 || results[0].text.substr(0, 3) != "def") ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  wait_until([&] {
    const EngineStatus status = engine->status();
    return status.requests_finished + status.requests_aborted == 240 &&
           status.free_blocks == status.total_blocks;
  });
  CHECK(engine->status().requests_failed == 0);
}

}  // namespace quire::engine
