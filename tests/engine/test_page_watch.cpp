// Readers of the pool: what they see is what is there, and who is told of it.

#include "engine/page_watch.h"

#include "tests/engine/fake_engine.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::engine {
namespace {

class Bell final : public StreamListener {
 public:
  void on_ready() noexcept override { ++rings; }
  std::atomic<int> rings{0};
};

// Waits for a version above `seen`; fails after half a minute.
PageWatch::Version wait_newer(PageWatch& watch, std::uint64_t seen) {
  for (int i = 0; i < 30'000; ++i) {
    if (const PageWatch::Version newest = watch.latest(); newest.number > seen) return newest;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  FAIL("no snapshot came");
  return {};
}

GenerationRequest request(std::int32_t max_tokens) {
  GenerationRequest request;
  request.prompts = {std::vector<TokenId>(40, testing::id_of('a'))};
  request.sampling.max_tokens = max_tokens;
  return request;
}

std::int64_t count(const PageSnapshot& snapshot, PageState state) {
  return std::ranges::count(snapshot.states, state);
}

TEST_CASE("nobody looks: nothing is published") {
  PageWatch watch([] {});
  CHECK(watch.due(1) == PageWatch::Clock::time_point::max());
  CHECK(watch.latest().number == 0);
}

TEST_CASE("a reader gets one at once, then one per interval after a change") {
  int wakes = 0;
  PageWatch watch([&wakes] { ++wakes; });
  Bell bell;
  auto subscription = watch.subscribe(bell);
  CHECK(wakes == 1);
  CHECK(watch.due(1) < PageWatch::Clock::now());
  watch.publish(1, [](PageSnapshot& snapshot) { snapshot.step = 1; });
  CHECK(bell.rings == 1);
  CHECK(watch.due(1) == PageWatch::Clock::time_point::max());  // nothing changed
  const auto due = watch.due(2);
  CHECK(due > PageWatch::Clock::now());
  watch.set_interval(std::chrono::seconds(100));
  CHECK(watch.due(2) > due);
  subscription.reset();
  CHECK(watch.due(2) == PageWatch::Clock::time_point::max());
  watch.publish(3, [](PageSnapshot&) {});
  CHECK(bell.rings == 1);
}

TEST_CASE("a snapshot that somebody holds stays as it is") {
  PageWatch watch([] {});
  std::vector<PageWatch::Version> held;
  for (std::uint64_t i = 1; i <= 6; ++i) {
    watch.publish(i, [i](PageSnapshot& snapshot) { snapshot.step = i; });
    if (i % 2 == 0) held.push_back(watch.latest());
  }
  for (const PageWatch::Version& version : held) CHECK(version.snapshot->step == version.number);
}

TEST_CASE("the pool of a live engine: who holds what") {
  const auto engine = testing::fake_engine(testing::alphabet);
  Bell bell;
  auto subscription = engine->pages().subscribe(bell);
  PageWatch::Version version = wait_newer(engine->pages(), 0);
  const auto total = static_cast<std::int64_t>(version.snapshot->num_blocks());
  CHECK(total == engine->info().num_blocks);
  CHECK(count(*version.snapshot, PageState::kRunning) == 0);

  auto stream = engine->submit(request(20), nullptr).value();
  bool open = true;
  while (open) {
    std::vector<Delta> deltas;
    stream->wait();
    open = stream->drain(deltas);
  }
  // The last change is told although the engine is idle by then.
  do {
    version = wait_newer(engine->pages(), version.number);
  } while (version.snapshot->step < 20 || !version.snapshot->requests.empty());
  CHECK(count(*version.snapshot, PageState::kRunning) == 0);
  CHECK(count(*version.snapshot, PageState::kCached) > 0);
  CHECK(version.snapshot->tables.empty());
  CHECK(bell.rings >= 2);
}

}  // namespace
}  // namespace quire::engine
