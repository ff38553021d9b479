#pragma once
// StepExecutor: turns a StepPlan into a StepOutput. ModelRunner is the real one; tests pass a fake.
//
// A step is executed whole, or, where the executor runs ahead, launched and collected: then a
// second one may be launched behind the first, whose rows take their tokens from it
// (source_sample).
// 1. Steps run and are collected in the order in which they were launched; at most two at once.
// 2. A plan that was launched stays where it is, unchanged, until it has been collected.

#include "engine/heartbeat.h"
#include "proto/check.h"
#include "scheduler/step.h"

namespace quire::engine {

class StepExecutor {
 public:
  virtual ~StepExecutor() = default;
  // Computes the plan; `output` is cleared first. Engine thread only. Throws an exception
  // only where no later step can succeed; a fault of one row is reported in the output.
  virtual void execute(const scheduler::StepPlan& plan, scheduler::StepOutput& output) = 0;

  // Whether launch() and collect() may be used. Engine thread only, throwing as execute() does.
  [[nodiscard]] virtual bool runs_ahead() const { return false; }
  // Starts the step and does not wait for it. False: another may not be launched behind it.
  [[nodiscard]] virtual bool launch(const scheduler::StepPlan& /*plan*/) {
    CHECK(runs_ahead());
    return false;
  }
  // Waits for the oldest step that was launched, but not for the one behind it. Where a choice
  // could not be made, its sample has no token: it is put off, and made when the step is asked for
  // again.
  virtual void collect(scheduler::StepOutput& /*output*/) { CHECK(runs_ahead()); }

  // Beaten by execute() after each unit of its work, and by launch() and collect(); null: nobody
  // watches. It outlives the last step.
  virtual void set_heartbeat(Heartbeat* heartbeat) { heartbeat_ = heartbeat; }

 protected:
  [[nodiscard]] Heartbeat* heartbeat() const { return heartbeat_; }

 private:
  Heartbeat* heartbeat_ = nullptr;
};

}  // namespace quire::engine
