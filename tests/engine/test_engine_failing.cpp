// The engine where memory runs out: places in the queue are given back, streams end, and who asked
// to be told of the end is told.

#include "tests/engine/fake_engine.h"
#include "tests/support/allocation_count.h"

#include <atomic>
#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <new>
#include <vector>

namespace quire::engine {
namespace {

using testing::alphabet;
using testing::engine_over;
using testing::fake_engine;

GenerationRequest request_for(std::int32_t max_tokens) {
  GenerationRequest request;
  request.prompts = {{1, 2, 3}};
  request.sampling.max_tokens = max_tokens;
  request.sampling.temperature = 0.0f;
  return request;
}

FinishReason finish_of(TokenStream& stream) {
  std::vector<Delta> deltas;
  while (stream.drain(deltas)) stream.wait();
  return deltas.back().finish;
}

constexpr const char* kLost = "the device was lost in the middle of a step";

// The step after the warm-up waits for `lost`; then the device is, and with it all memory.
class LastStep final : public StepExecutor {
 public:
  void execute(const scheduler::StepPlan& plan, scheduler::StepOutput& output) override {
    if (++steps_ == 1) return inner_.execute(plan, output);
    while (!lost) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::runtime_error error(kLost);
    test::fail_allocations_after(0);
    throw error;
  }
  std::atomic<bool> lost{false};

 private:
  testing::FakeExecutor inner_{alphabet};
  int steps_ = 0;
};

}  // namespace

TEST_CASE("a request that found no memory gives its places in the queue back") {
  if (!test::kAllocationsCounted) return;
  auto engine = fake_engine(alphabet);
  GenerationRequest request = request_for(5);
  request.n = 2;
  request.stop = {"zz"};
  request.sampling.num_logprobs = 2;
  int failures = 0;
  for (std::int64_t room = 0;; ++room) {
    test::fail_allocations_after(room);
    try {
      auto stream = engine->submit(request, nullptr);
      test::fail_allocations_after(test::kNoLimit);
      REQUIRE(stream.ok());
      CHECK(finish_of(**stream) == FinishReason::kLength);
      break;
    } catch (const std::bad_alloc&) {
      test::fail_allocations_after(test::kNoLimit);
      ++failures;
    }
  }
  CHECK(failures > 10);
  engine->stop();
  CHECK(engine->status().waiting <= 2);  // of the one that ran; the rest was given back
}

TEST_CASE("a device that is lost together with all memory ends every stream, and is told of") {
  if (!test::kAllocationsCounted) return;
  EngineOptions options;
  options.scheduler.max_num_seqs = 1;
  auto owned = std::make_unique<LastStep>();
  LastStep* const executor = owned.get();
  auto engine = engine_over(std::move(owned), options, 256);
  std::atomic<int> told{0};
  engine->set_fatal_handler([&](const std::string&) { ++told; });
  std::vector<std::unique_ptr<TokenStream>> streams;
  for (int i = 0; i < 20; ++i) {
    auto stream = engine->submit(request_for(1500), nullptr);
    REQUIRE(stream.ok());
    streams.push_back(std::move(stream).value());
  }
  executor->lost = true;
  for (const auto& stream : streams) CHECK(finish_of(*stream) == FinishReason::kError);
  engine->stop();
  CHECK(told == 1);
  CHECK_FALSE(engine->status().alive);
}

TEST_CASE("a stop string that comes with the last token counts as stopped") {
  auto engine = fake_engine(alphabet);
  GenerationRequest request = request_for(3);  // "def"
  request.stop = {"ef"};
  auto stream = engine->submit(request, nullptr);
  REQUIRE(stream.ok());
  CHECK(finish_of(**stream) == FinishReason::kStop);
  engine->stop();
  CHECK(engine->status().requests_stopped == 1);
  CHECK(engine->status().requests_finished == 1);
}

}  // namespace quire::engine
