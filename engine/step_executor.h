#pragma once
// StepExecutor: turns a StepPlan into a StepOutput. ModelRunner is the real one; tests pass a fake.

#include "engine/heartbeat.h"
#include "scheduler/step.h"

namespace quire::engine {

class StepExecutor {
 public:
  virtual ~StepExecutor() = default;
  // Computes the plan; `output` is cleared first. Engine thread only. Throws an exception
  // only where no later step can succeed; a fault of one row is reported in the output.
  virtual void execute(const scheduler::StepPlan& plan, scheduler::StepOutput& output) = 0;

  // Beaten by execute() after each unit of its work; null: nobody watches. It outlives the last
  // execute().
  virtual void set_heartbeat(Heartbeat* heartbeat) { heartbeat_ = heartbeat; }

 protected:
  [[nodiscard]] Heartbeat* heartbeat() const { return heartbeat_; }

 private:
  Heartbeat* heartbeat_ = nullptr;
};

}  // namespace quire::engine
