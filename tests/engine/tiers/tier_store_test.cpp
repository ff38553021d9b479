// TierStore: jobs go to its thread and reports come back, each once.

#include "engine/tiers/tier_store.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "tests/engine/tiers/records.h"

namespace quire::engine {
namespace {

std::unique_ptr<DiskSlab> open_slab(const Folder& folder) {
  auto slab = DiskSlab::open({.folder = folder.path, .max_bytes = 1 << 20, .shape = kShape});
  REQUIRE(slab.ok());
  return std::move(slab).value();
}

cache::TierReport wait_for_report(TierStore& store) {
  while (true) {
    if (const auto report = store.next_report()) return *report;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

cache::TierJob job_of(cache::TierJobKind kind, std::int32_t slot, const Span& span) {
  return {.kind = kind, .slot = BlockId{slot}, .key = span.key, .tokens = span.tokens};
}

}  // namespace

TEST_CASE("pages go down and come up again in another slot") {
  const Folder folder;
  HostPages host(4, static_cast<std::int64_t>(kShape.page_bytes), 1);
  TierStore store(host, open_slab(folder), nullptr);
  std::atomic<int> told{0};
  store.set_listener([&] { ++told; });
  const Span span(3), other(4);
  CHECK_FALSE(store.may_have(span.key));
  std::ranges::copy(span.pages, host.slot(BlockId{0}).begin());
  REQUIRE(store.start(job_of(cache::TierJobKind::kWrite, 0, span)));
  const cache::TierReport written = wait_for_report(store);
  CHECK(written.kind == cache::TierJobKind::kWrite);
  CHECK(written.outcome == cache::TierOutcome::kDone);
  CHECK(store.may_have(span.key));
  REQUIRE(store.start(job_of(cache::TierJobKind::kRead, 2, span)));
  const cache::TierReport read = wait_for_report(store);
  CHECK((read.slot == BlockId{2}));
  CHECK(read.outcome == cache::TierOutcome::kDone);
  CHECK(std::ranges::equal(host.slot(BlockId{2}), span.pages));
  REQUIRE(store.start(job_of(cache::TierJobKind::kRead, 3, other)));
  CHECK(wait_for_report(store).outcome == cache::TierOutcome::kAbsent);
  store.stop();
  CHECK(told == 3);
  CHECK(store.disk_counts().records == 1);
  CHECK(store.seconds_per_read() > 0.0);
}

TEST_CASE("too many jobs are refused, and after stop() all of them") {
  const Folder folder;
  HostPages host(1, static_cast<std::int64_t>(kShape.page_bytes), 1);
  TierStore store(host, open_slab(folder), nullptr);
  const Span span(3);
  int taken = 0;
  while (store.start(job_of(cache::TierJobKind::kRead, 0, span))) ++taken;
  CHECK(taken > 100);
  for (int i = 0; i < taken; ++i) (void)wait_for_report(store);
  CHECK(store.start(job_of(cache::TierJobKind::kRead, 0, span)));
  store.stop();
  CHECK_FALSE(store.start(job_of(cache::TierJobKind::kRead, 0, span)));
  CHECK(store.next_report().has_value());
  CHECK_FALSE(store.next_report().has_value());
}

}  // namespace quire::engine
