// Ten thousand steps with arrivals, aborts, pauses and preemptions: the scheduler allocates
// nothing.

#include "tests/scheduler/rig.h"
#include "tests/support/allocation_count.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

#include <random>

namespace quire::scheduler {
namespace {

std::int64_t num_allocations = 0;

// Allocations made while one lives count.
class Counted final {
 public:
  Counted() = default;
  Counted(const Counted&) = delete;
  ~Counted() { num_allocations += quire::test::allocations_of_this_thread() - before_; }

 private:
  std::int64_t before_ = quire::test::allocations_of_this_thread();
};

class Load final {
 public:
  Load() : rig_(options()) {}

  void step() {
    arrive();
    disturb();
    bool ahead = false;
    {
      const Counted counted;
      rig_.events.clear();
      if (!in_flight_) rig_.scheduler.schedule(rig_.now, rig_.plan, rig_.events);
      ahead = !rig_.plan.empty() && rig_.scheduler.schedule_ahead(rig_.now, rig_.plan, rig_.next);
    }
    answer();
    {
      const Counted counted;
      rig_.scheduler.update(rig_.plan, rig_.output, rig_.events);
    }
    num_ahead_ += ahead ? 1 : 0;
    in_flight_ = ahead;
    if (ahead) std::swap(rig_.plan, rig_.next);
    rig_.check();
    rig_.now += std::chrono::milliseconds(10);
  }

  [[nodiscard]] const cache::CacheStats& cache_stats() const { return rig_.cache.stats(); }
  [[nodiscard]] SchedulerStats stats() const { return rig_.scheduler.stats(); }
  [[nodiscard]] int num_ahead() const { return num_ahead_; }

 private:
  static RigOptions options() {
    return {.num_blocks = 60,
            .block_size = 4,
            .enable_prefix_caching = true,
            .scheduler = {.max_num_seqs = 16,
                          .max_num_batched_tokens = 40,
                          .max_queue_len = 32,
                          .max_model_len = 128,
                          .request_deadline = std::chrono::seconds(20),
                          .stall_timeout = std::chrono::seconds(1),
                          .eos_token_ids = {kEos}}};
  }

  void arrive() {
    while (random_() % 3 == 0 && rig_.scheduler.queue_has_room(1)) {
      const bool forks = last_ != nullptr && random_() % 4 == 0;
      auto sequence = Rig::make({.id = ++last_id_,
                                 .prompt = forks ? last_->num_prompt_tokens
                                                 : 1 + static_cast<std::int32_t>(random_() % 40),
                                 .max_tokens = static_cast<std::int32_t>(random_() % 30),
                                 .priority = static_cast<std::int32_t>(random_() % 3)},
                                [&](Sequence& made) {
                                  made.params.prompt_logprobs = random_() % 4 == 0;
                                  made.arrival_time = rig_.now;
                                  if (!forks && random_() % 2 == 0) made.tokens[0] = next_token_++;
                                  if (forks) made.tokens = last_->tokens;
                                  if (forks) made.leader = last_->id;
                                });
      if (!forks) {
        last_ = Rig::make({.id = last_id_, .prompt = 0});
        last_->tokens = sequence->tokens;
        last_->num_prompt_tokens = sequence->num_prompt_tokens;
      }
      rig_.scheduler.make_room_in(*sequence);
      const Counted counted;
      rig_.scheduler.add(std::move(sequence));
    }
  }

  void disturb() {
    const SequenceId any{last_id_ - std::min<std::uint64_t>(last_id_, random_() % 48)};
    const auto what = random_() % 10;
    const Counted counted;
    if (what == 0) rig_.scheduler.abort(any);
    if (what == 1) rig_.scheduler.set_paused(any, true, rig_.now);
    if (what >= 8) rig_.scheduler.set_paused(any, false, rig_.now);
  }

  void answer() {
    rig_.output.clear();
    rig_.output.step_id = rig_.plan.step_id;
    rig_.output.copies_completed = static_cast<std::int32_t>(rig_.plan.copies.size());
    for (std::size_t i = 0; i < rig_.plan.samples.size(); ++i) {
      rig_.output.tokens.push_back({.token = 1 + static_cast<TokenId>(random_() % 50)});
      rig_.output.samples.push_back({.token_begin = static_cast<std::int32_t>(i), .num_tokens = 1});
    }
  }

  Rig rig_;
  bool in_flight_ = false;  // of the rig's plan
  int num_ahead_ = 0;
  std::mt19937 random_{20261122};
  std::uint64_t last_id_ = 0;
  std::unique_ptr<Sequence> last_;  // a copy of the last that had no leader
  TokenId next_token_ = 1000;
};

TEST_CASE("ten thousand steps under disturbance allocate nothing") {
  num_allocations = 0;
  {
    const Counted counted;
    ::operator delete(::operator new(1));  // proof that the counter counts
  }
  REQUIRE(num_allocations == (quire::test::kAllocationsCounted ? 1 : 0));
  num_allocations = 0;
  Load load;
  for (int i = 0; i < 10'000; ++i) load.step();
  CHECK(num_allocations == 0);
  CHECK(load.num_ahead() > 500);
  CHECK(load.stats().num_preemptions > 100);
  CHECK(load.stats().num_aborted > 100);
  CHECK(load.stats().num_finished > 1000);
  CHECK(load.cache_stats().hits > 1000);
  CHECK(load.cache_stats().copies > 1000);
  CHECK(load.cache_stats().evictions > 1000);
  CHECK(load.cache_stats().forks > 10);
}

}  // namespace
}  // namespace quire::scheduler
