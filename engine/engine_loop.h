#pragma once
// EngineLoop: what the engine thread does, one step after another, and what it alone owns: the
// scheduler, the cache and the executor, which therefore need no lock.
//
// run() is the thread's whole life; the mailbox and the gauges are how other threads reach it.
// 1. Every sequence that came in through the mailbox ends with one final event of its stream, also
//    where run() ends by an exception of a step.
// 2. It never waits for a reader: a full stream's sequence is paused.
// 3. After warm-up a step allocates nothing.
// 4. Where the executor runs ahead, a step may be in flight between two calls of step(), and one
//    more within. All that is done then (abort, pause, admit) is for steps to come. run() ends with
//    none in flight, unless by an exception of the executor: then their results are not heard of.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/gauges.h"
#include "engine/page_watch.h"
#include "engine/request_times.h"
#include "engine/stream_table.h"
#include "engine/token_stream_state.h"
#include "scheduler/scheduler.h"

namespace quire::engine {

class EngineLoop final {
  using Clock = scheduler::Clock;

 public:
  EngineLoop(const EngineOptions& options, EngineParts parts);
  ~EngineLoop();

  // Until the mailbox says stopping, or a step fails.
  void run();

  // From any thread.
  [[nodiscard]] const EngineParts& parts() const { return parts_; }
  [[nodiscard]] const scheduler::Scheduler& admission() const { return scheduler_; }
  [[nodiscard]] std::int64_t max_in_flight() const { return max_in_flight_; }
  [[nodiscard]] const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }
  [[nodiscard]] Gauges& gauges() { return gauges_; }
  [[nodiscard]] const RequestHistograms& times() const { return times_; }
  [[nodiscard]] PageWatch& pages() { return pages_; }
  [[nodiscard]] SequenceId next_sequence_id() {
    return SequenceId{next_id_.fetch_add(1, std::memory_order_relaxed)};
  }
  void set_fatal_handler(std::function<void(const std::string&)> handler);

 private:
  void warm_up();
  void loop();
  void wait_for_work();
  void take_inbox();
  void admit(Submission& submission);
  void cancel(StreamState& stream);
  void resume(StreamState& stream);
  void step();
  bool schedule();
  void execute();
  void run_ahead();
  void update(const scheduler::StepPlan& plan);
  void collect_last();
  void note_started(const scheduler::StepPlan& plan);
  void deliver();
  void end_sequence(StreamTable::Entry* entry, FinishReason finish);
  void fail(FinishReason reason);
  void die(const char* why);
  void listen_to_tiers();
  void flush_tiers();
  void note_cost(Clock::duration taken);
  void publish();
  void publish_pages();

  EngineParts parts_;
  cache::KvCacheManager cache_;
  scheduler::Scheduler scheduler_;
  const std::int64_t max_in_flight_;
  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  std::atomic<std::uint64_t> next_id_{1};
  Gauges gauges_;
  RequestHistograms times_;
  PageWatch pages_;
  std::function<void(const std::string&)> on_fatal_;  // and below: under the mailbox's mutex
  bool failed_ = false;
  std::string failure_;

  // The engine thread's own.
  Mailbox::Content inbox_;
  StreamTable streams_;
  const bool runs_ahead_;  // the executor
  scheduler::StepPlan plans_[2];
  scheduler::StepPlan* plan_ = &plans_[0];  // planned last; in flight, where in_flight_ says so
  scheduler::StepPlan* next_ = &plans_[1];  // behind it
  bool in_flight_ = false;
  bool may_be_followed_ = false;
  scheduler::StepOutput output_;
  std::vector<scheduler::TokenEvent> events_;
  std::int64_t ended_ = 0;        // sequences that ended since the mailbox was last told
  double compute_seconds_ = 0.0;  // of one token, lately
  scheduler::Clock::time_point rate_since_{};
  std::int64_t rate_tokens_ = 0;  // generation_tokens at rate_since_
};

}  // namespace quire::engine
