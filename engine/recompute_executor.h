#pragma once
// RecomputeExecutor: what serving costs without a KV cache (--no-kv-cache).
//
// Wraps the real executor and turns every row that samples into a row that computes its whole
// context anew, from position 0: the quadratic work that the cache saves. The keys and values it
// writes are the ones that already stand there (the law), so the answers are the same bits. Engine
// thread only. For measuring; it serves max_num_seqs = 1.

#include "engine/step_executor.h"

namespace quire::engine {

class RecomputeExecutor final : public StepExecutor {
 public:
  // inner outlives this and takes steps of `max_tokens` tokens.
  RecomputeExecutor(StepExecutor& inner, std::int64_t max_tokens) : inner_(&inner) {
    whole_.tokens.reserve(static_cast<std::size_t>(max_tokens));
  }

  void execute(const scheduler::StepPlan& plan, scheduler::StepOutput& output) override;
  void set_heartbeat(Heartbeat* heartbeat) override { inner_->set_heartbeat(heartbeat); }

 private:
  StepExecutor* inner_;
  scheduler::StepPlan whole_;
};

}  // namespace quire::engine
