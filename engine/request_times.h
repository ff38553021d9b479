#pragma once
// RequestTimes: when the things that a client waits for happened to one sequence, and
// RequestHistograms: the same over all of them.
//
// The engine thread's; the histograms may be read by any thread. Seconds.

#include <chrono>
#include <cstdint>

#include "engine/histogram.h"
#include "engine/token_stream.h"
#include "proto/types.h"

namespace quire::engine {

struct RequestHistograms {
  RequestHistograms();
  Histogram time_to_first_token;
  Histogram inter_token_latency;
  Histogram time_per_output_token;  // of a whole sequence: its mean gap
  Histogram end_to_end;
  Histogram queue_time;    // arrival to the first step that computes it
  Histogram prefill_time;  // from there to the first token
  Histogram decode_time;   // from there to the last
  Histogram prompt_tokens;
  Histogram generation_tokens;
  Histogram step_tokens;                 // computed in one step
  Histogram cancel_to_free;              // from a client's leaving to its blocks being free
  std::atomic<double> largest_gap{0.0};  // between two tokens of a sequence
};

class RequestTimes final {
 public:
  using Clock = std::chrono::steady_clock;

  RequestTimes() = default;
  RequestTimes(Clock::time_point arrival, std::int32_t num_prompt_tokens)
      : arrival_(arrival), num_prompt_tokens_(num_prompt_tokens) {}

  [[nodiscard]] bool started() const { return started_ != Clock::time_point{}; }
  void start(Clock::time_point now, RequestHistograms& all);
  void token(Clock::time_point now, RequestHistograms& all);
  // A sequence that was aborted or failed counts only its tokens.
  void end(Clock::time_point now, FinishReason finish, RequestHistograms& all) const;
  // What is known of it so far; chunks and preemptions are not among it.
  [[nodiscard]] ChoiceReport report() const;

 private:
  Clock::time_point arrival_{}, started_{}, first_token_{}, last_token_{};
  std::int32_t num_prompt_tokens_ = 0;
  std::int32_t num_tokens_ = 0;
  double largest_gap_ = 0.0;
};

}  // namespace quire::engine
