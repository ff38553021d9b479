// Tenants share what is served: the queue against a plain model, one tenant as if there were no
// tenants, and a flood of one that does not starve another.

#include "scheduler/fair_queue.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>

#include "tests/scheduler/rig.h"

namespace quire::scheduler {
namespace {

struct InOrder {
  bool operator()(const Sequence* a, const Sequence* b) const { return RunsBefore{}(*a, *b); }
};

std::vector<std::unique_ptr<Sequence>> sequences(std::size_t count, std::uint64_t num_tenants) {
  std::mt19937 random(7);
  std::vector<std::unique_ptr<Sequence>> all;
  for (std::size_t i = 0; i < count; ++i) {
    auto sequence = std::make_unique<Sequence>();
    sequence->id = SequenceId{i + 1};
    sequence->tenant = random() % num_tenants;
    sequence->priority = static_cast<std::int32_t>(random() % 3) - 1;
    sequence->arrival = random() % 50;
    all.push_back(std::move(sequence));
  }
  return all;
}

TEST_CASE("one tenant: the order of arrival, whatever was served") {
  const auto all = sequences(200, 1);
  FairQueue queue(all.size());
  std::set<Sequence*, InOrder> model;
  for (const auto& sequence : all) queue.join(*sequence);
  std::mt19937 random(2);
  for (int step = 0; step < 20'000; ++step) {
    Sequence& any = *all[random() % all.size()];
    if (model.insert(&any).second) {
      queue.push(any);
    } else {
      model.erase(&any);
      queue.erase(any);
    }
    if (random() % 4 == 0) queue.charge(any, static_cast<std::int64_t>(random() % 100));
    if (step % 16 == 0) queue.check_invariants();
    REQUIRE(queue.size() == model.size());
    if (!model.empty()) REQUIRE(&queue.front() == *model.begin());
  }
}

// The front by plain rules: best priority, least served, first by arrival.
TEST_CASE("several tenants: the queue agrees with a plain model") {
  const auto all = sequences(120, 5);
  FairQueue queue(all.size());
  using Flow = std::pair<std::uint64_t, std::int32_t>;  // tenant and priority
  const auto flow_of = [](const Sequence& s) { return Flow{s.tenant, s.priority}; };
  std::map<Flow, std::set<Sequence*, InOrder>> lines;
  std::map<Flow, std::int64_t> served;
  std::int64_t level = 0;
  for (const auto& sequence : all) queue.join(*sequence);
  std::mt19937 random(3);
  for (int step = 0; step < 20'000; ++step) {
    Sequence& any = *all[random() % all.size()];
    auto& line = lines[flow_of(any)];
    if (line.contains(&any)) {
      line.erase(&any);
      queue.erase(any);
    } else {
      if (line.empty()) {
        std::int64_t start = level;
        for (const auto& [flow, waiting] : lines) {
          if (flow.second == any.priority && !waiting.empty())
            start = std::min(start, served[flow]);
        }
        served[flow_of(any)] = std::max(served[flow_of(any)], start);
      }
      line.insert(&any);
      queue.push(any);
    }
    if (step % 16 == 0) queue.check_invariants();
    const Sequence* best = nullptr;
    for (const auto& [flow, waiting] : lines) {
      if (waiting.empty()) continue;
      const Sequence* first = *waiting.begin();
      const auto key = [&](const Sequence& s) {
        return std::tuple(s.priority, served[flow_of(s)], s.arrival, s.id);
      };
      if (best == nullptr || key(*first) < key(*best)) best = first;
    }
    if (best == nullptr) continue;
    REQUIRE(&queue.front() == best);
    if (random() % 3 != 0) continue;
    Sequence& admitted = queue.front();
    level = std::max(level, served[flow_of(admitted)]);
    queue.note_admitted(admitted);
    lines[flow_of(admitted)].erase(&admitted);
    queue.erase(admitted);
    const auto tokens = static_cast<std::int64_t>(random() % 100);
    served[flow_of(admitted)] += tokens;
    queue.charge(admitted, tokens);
  }
}

TEST_CASE("more tenants than there are places: those that are gone give theirs up") {
  FairQueue queue(4);
  Sequence sequence;
  for (std::uint64_t tenant = 0; tenant < 100; ++tenant) {
    sequence.tenant = tenant;
    queue.join(sequence);
    queue.push(sequence);
    REQUIRE(&queue.front() == &sequence);
    queue.erase(sequence);
    queue.leave(sequence);
    queue.check_invariants();
  }
}

// How many of tenant 1's 200 end before tenant 2's 10 have all ended, who came after all of them.
TEST_CASE("a flood of one tenant does not starve another") {
  for (const bool apart : {true, false}) {
    RigOptions options;
    options.scheduler.max_num_seqs = 4;
    options.scheduler.max_queue_len = 300;
    Rig rig(options);
    for (std::uint64_t id = 1; id <= 200; ++id) {
      rig.add({.id = id}, [](Sequence& s) { s.tenant = 1; });
    }
    for (int i = 0; i < 3; ++i) rig.step();  // the flood has begun
    for (std::uint64_t id = 201; id <= 210; ++id) {
      rig.add({.id = id}, [&](Sequence& s) { s.tenant = apart ? 2 : 1; });
    }
    std::size_t flood_ended = 0;
    std::size_t others_ended = 0;
    while (others_ended < 10) {
      for (const TokenEvent& event : rig.step()) {
        if (event.finish == FinishReason::kNone) continue;
        ++(event.sequence > SequenceId{200} ? others_ended : flood_ended);
      }
    }
    // Turn and turn about, but for those that held seats at first. Without tenants: the last ten.
    if (apart) CHECK(flood_ended <= 20);
    if (!apart) CHECK(flood_ended == 200);
    rig.run();
  }
}

// A tenant that was served much sends one request of a better priority, and another, that was
// served nothing, its first; a third has many in line.
TEST_CASE("what is served in one priority does not count in another") {
  RigOptions options;
  options.num_blocks = 1024;
  options.scheduler.max_num_seqs = 1;
  options.scheduler.max_queue_len = 2000;
  options.scheduler.max_model_len = 4000;
  Rig rig(options);
  const auto of = [](std::uint64_t tenant) { return [=](Sequence& s) { s.tenant = tenant; }; };
  rig.add({.id = 1, .prompt = 1500, .max_tokens = 1500}, of(1));
  rig.run();
  rig.add({.id = 2}, of(4));
  rig.step();
  for (std::uint64_t id = 1000; id < 1200; ++id) rig.add({.id = id}, of(3));
  const std::int32_t priority = GENERATE(0, -1);
  rig.add({.id = 3, .priority = priority}, of(1));
  for (int i = 0; i < 10; ++i) rig.step();
  rig.add({.id = 10}, of(2));
  int others = 0;
  for (bool ended = false; !ended;) {
    for (const TokenEvent& event : rig.step()) {
      if (event.finish == FinishReason::kNone) continue;
      ended = event.sequence == SequenceId{10};
      others += event.sequence >= SequenceId{1000} ? 1 : 0;
    }
  }
  CHECK(others <= 3);
  rig.run();
}

// One tenant's requests take ten times the tokens: it gets a tenth of the requests.
TEST_CASE("shares are counted in tokens, not in requests") {
  RigOptions options;
  options.num_blocks = 256;
  options.scheduler.max_num_seqs = 2;
  options.scheduler.max_queue_len = 500;
  Rig rig(options);
  for (std::uint64_t id = 1; id <= 100; ++id) {
    rig.add({.id = id, .prompt = 60, .max_tokens = 20}, [](Sequence& s) { s.tenant = 1; });
    rig.add({.id = 1000 + id, .prompt = 4, .max_tokens = 4}, [](Sequence& s) { s.tenant = 2; });
  }
  std::map<bool, std::int64_t> tokens;
  std::size_t small_ended = 0;
  while (small_ended < 60) {
    for (const TokenEvent& event : rig.step()) {
      if (event.finish == FinishReason::kNone) continue;
      const bool small = event.sequence > SequenceId{1000};
      small_ended += small ? 1 : 0;
      tokens[small] += small ? 7 : 79;  // the last token is not computed
    }
  }
  // Within two of the large ones, which are served piece by piece.
  CHECK(std::abs(tokens[true] - tokens[false]) <= 2 * 79);
}

TEST_CASE("the client's deadline ends a sequence before the scheduler's own") {
  Rig rig;
  const auto start = rig.now;
  rig.add({.id = 1, .max_tokens = 100},
          [&](Sequence& s) { s.deadline = start + std::chrono::seconds(5); });
  rig.step();
  CHECK(rig.scheduler.next_deadline() == start + std::chrono::seconds(5));
  rig.now = start + std::chrono::seconds(5);
  rig.schedule();
  REQUIRE(rig.events.size() == 1);
  CHECK(rig.events[0].finish == FinishReason::kAbort);
}

TEST_CASE("what happened to a sequence is told with its tokens") {
  RigOptions options;
  options.scheduler.max_num_batched_tokens = 16;
  Rig rig(options);
  rig.add({.id = 1, .prompt = 40, .max_tokens = 2});
  const auto events = rig.run();
  REQUIRE_FALSE(events.empty());
  CHECK(events.back().num_prefill_chunks == 3);
  CHECK(events.back().num_preemptions == 0);
}

}  // namespace
}  // namespace quire::scheduler
