// What the pool looks like from outside agrees with what the cache and the scheduler know.

#include "tests/scheduler/rig.h"

#include <algorithm>
#include <vector>

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::scheduler {
namespace {

// Every count and state from the tables, as a reader would find them.
void check_consistent(const Rig& rig) {
  PageSnapshot snapshot;
  rig.cache.describe(snapshot);
  rig.scheduler.describe(snapshot);
  std::vector<std::int32_t> references(snapshot.num_blocks());
  for (const BlockId block : snapshot.tables) ++references[static_cast<std::size_t>(block)];
  CHECK(references == snapshot.ref_counts);
  for (std::size_t i = 0; i < references.size(); ++i) {
    const PageState state = snapshot.states[i];
    CHECK((state == PageState::kShared) == (references[i] > 1));
    CHECK((state == PageState::kRunning) == (references[i] == 1));
    const bool is_cached = rig.cache.is_cached(BlockId{static_cast<std::int32_t>(i)});
    if (references[i] == 0) CHECK((state == PageState::kCached) == is_cached);
    CHECK((snapshot.groups[i] >= 0) == (references[i] > 0 || is_cached));
    CHECK(snapshot.changed_at[i] <= snapshot.step);
  }
  CHECK(snapshot.requests.size() == rig.scheduler.sequences().size());
}

TEST_CASE("describe: from the first request to the last, shared pages among them") {
  Rig rig({.enable_prefix_caching = true});
  check_consistent(rig);
  for (std::uint64_t id = 1; id <= 4; ++id) {
    rig.scheduler.add(Rig::make({.id = id, .prompt = 18, .max_tokens = 6}));
    rig.step();
    check_consistent(rig);
  }
  PageSnapshot snapshot;
  rig.cache.describe(snapshot);
  CHECK(std::ranges::count(snapshot.states, PageState::kShared) >= 4);  // 16 tokens of 18
  while (!rig.scheduler.idle()) {
    rig.step();
    check_consistent(rig);
  }
}

}  // namespace
}  // namespace quire::scheduler
