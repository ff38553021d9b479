#pragma once
// AheadExecutor: a fake device that runs ahead: a step that was launched is computed when it is
// collected, as late as any device may, and rows ahead take their tokens from the step before.
// What was called is kept in order. One thread; what tests set is atomic.

#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/fake_engine.h"

namespace quire::engine::testing {

struct ExecutorCall {
  bool is_launch = false;
  std::uint64_t step = 0;
  bool is_ahead = false;  // its rows take tokens from the step before
  friend bool operator==(const ExecutorCall&, const ExecutorCall&) = default;
};

class AheadExecutor final : public StepExecutor {
 public:
  explicit AheadExecutor(Script script) : script_(std::move(script)) {}

  void execute(const scheduler::StepPlan&, scheduler::StepOutput&) override {
    throw std::logic_error("a step was not launched");
  }
  [[nodiscard]] bool runs_ahead() const override { return true; }

  [[nodiscard]] bool launch(const scheduler::StepPlan& plan) override {
    const bool is_ahead = !plan.rows.empty() && plan.rows[0].source_sample >= 0;
    note({.is_launch = true,
          .step = static_cast<std::uint64_t>(plan.step_id),
          .is_ahead = is_ahead});
    if (is_ahead ? fail_launch_ahead.load() : fail_launch.load()) {
      throw std::runtime_error("device lost");
    }
    in_flight_.push_back({.plan = &plan, .rows = plan.rows.size()});
    if (in_flight_.size() > 2 || (is_ahead && (in_flight_.size() != 2 || !followed_))) {
      throw std::logic_error("a step was launched out of turn");
    }
    followed_ = follow;
    return followed_;
  }

  void collect(scheduler::StepOutput& output) override {
    if (delay.count() > 0) std::this_thread::sleep_for(delay);
    const scheduler::StepPlan& plan = *in_flight_.front().plan;
    if (in_flight_.front().rows != plan.rows.size()) throw std::logic_error("a plan has changed");
    in_flight_.erase(in_flight_.begin());
    note({.step = static_cast<std::uint64_t>(plan.step_id)});
    if (fail_collect) throw std::runtime_error("device lost");
    output.clear();
    output.step_id = plan.step_id;
    output.copies_completed = static_cast<std::int32_t>(plan.copies.size());
    const std::vector<TokenId> before = std::exchange(sampled_, {});
    for (const scheduler::StepSample& sample : plan.samples) answer(plan, sample, before, output);
  }

  [[nodiscard]] std::vector<ExecutorCall> calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

  std::chrono::milliseconds delay{0};
  std::atomic<bool> follow{true};
  std::atomic<bool> fail_launch{false}, fail_launch_ahead{false}, fail_collect{false};
  std::atomic<int> put_off_every{0};  // samples; 0: none

 private:
  struct Launched {
    const scheduler::StepPlan* plan = nullptr;
    std::size_t rows = 0;
  };

  void note(ExecutorCall call) {
    const std::lock_guard lock(mutex_);
    calls_.push_back(call);
  }

  void answer(const scheduler::StepPlan& plan, const scheduler::StepSample& sample,
              const std::vector<TokenId>& before, scheduler::StepOutput& output) {
    ++num_answered_;
    if (put_off_every > 0 && sample.target == kNoToken && num_answered_ % put_off_every == 0) {
      sampled_.push_back(kNoToken);
      output.samples.push_back({});
      return;
    }
    std::vector<TokenId> history(sample.history.begin(), sample.history.end());
    const scheduler::StepRow& row = plan.rows[static_cast<std::size_t>(sample.row)];
    if (row.source_sample >= 0) {
      history.push_back(before.at(static_cast<std::size_t>(row.source_sample)));
    }
    const TokenId token = sample.target != kNoToken ? sample.target : script_(history);
    sampled_.push_back(token);
    output.samples.push_back(
        {.token_begin = static_cast<std::int32_t>(output.tokens.size()), .num_tokens = 1});
    output.tokens.push_back({.token = token, .logprob = -0.5f});
  }

  Script script_;
  std::vector<Launched> in_flight_;
  bool followed_ = false;
  std::vector<TokenId> sampled_;  // by the step collected last
  int num_answered_ = 0;
  std::mutex mutex_;
  std::vector<ExecutorCall> calls_;
};

}  // namespace quire::engine::testing
