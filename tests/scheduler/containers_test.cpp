// The scheduler's own containers against plain models.

#include "scheduler/request_queue.h"
#include "scheduler/running_list.h"
#include "scheduler/sequence_index.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace quire::scheduler {
namespace {

std::vector<std::unique_ptr<Sequence>> sequences_with_random_keys(std::size_t count,
                                                                  std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::unique_ptr<Sequence>> all;
  for (std::size_t i = 0; i < count; ++i) {
    auto sequence = std::make_unique<Sequence>();
    sequence->id = SequenceId{i};
    sequence->priority = static_cast<std::int32_t>(random() % 3) - 1;
    sequence->arrival = random() % 50;
    all.push_back(std::move(sequence));
  }
  return all;
}

using HeapByArrival = SequenceHeap<&Sequence::expiry_slot, RunsBefore>;

struct PointersInOrder {
  bool operator()(const Sequence* a, const Sequence* b) const { return RunsBefore{}(*a, *b); }
};

TEST_CASE("a heap agrees with a set over random pushes and erasures") {
  const auto all = sequences_with_random_keys(200, 1);
  HeapByArrival queue(all.size());
  std::set<Sequence*, PointersInOrder> model;
  std::mt19937 random(2);
  for (int step = 0; step < 20'000; ++step) {
    Sequence& any = *all[random() % all.size()];
    if (model.insert(&any).second) {
      queue.push(any);
    } else {
      model.erase(&any);
      queue.erase(any);
    }
    queue.check_invariants();
    REQUIRE(queue.size() == model.size());
    if (!model.empty()) REQUIRE(&queue.front() == *model.begin());
  }
}

TEST_CASE("a heap gives back priority first, then arrival") {
  const auto all = sequences_with_random_keys(100, 3);
  HeapByArrival queue(all.size());
  for (const auto& sequence : all) queue.push(*sequence);
  const Sequence* previous = nullptr;
  while (!queue.empty()) {
    Sequence& next = queue.front();
    if (previous != nullptr) REQUIRE(RunsBefore{}(*previous, next));
    previous = &next;
    queue.erase(next);
  }
}

TEST_CASE("a running list stays sorted") {
  const auto all = sequences_with_random_keys(64, 4);
  RunningList list(all.size());
  std::set<Sequence*, PointersInOrder> model;
  std::mt19937 random(5);
  for (int step = 0; step < 5'000; ++step) {
    Sequence& any = *all[random() % all.size()];
    if (model.insert(&any).second) {
      list.insert(any);
    } else {
      model.erase(&any);
      list.erase(any);
    }
    list.check_invariants();
    REQUIRE(std::equal(list.items().begin(), list.items().end(), model.begin(), model.end()));
  }
}

TEST_CASE("an index agrees with a map over random insertions and removals") {
  constexpr std::size_t kCapacity = 100;
  SequenceIndex index(kCapacity);
  std::map<std::uint64_t, const Sequence*> model;
  std::mt19937 random(6);
  for (int step = 0; step < 20'000; ++step) {
    const std::uint64_t id = random() % 300;
    const auto known = model.find(id);
    Sequence* const found = index.find(SequenceId{id});
    REQUIRE(found == (known == model.end() ? nullptr : known->second));
    if (known != model.end()) {
      REQUIRE(index.take(SequenceId{id}).get() == known->second);
      model.erase(known);
    } else if (model.size() < kCapacity) {
      auto sequence = std::make_unique<Sequence>();
      sequence->id = SequenceId{id};
      model[id] = &index.insert(std::move(sequence));
    }
    REQUIRE(index.size() == model.size());
  }
}

}  // namespace
}  // namespace quire::scheduler
