#include "engine/request_times.h"

#include <algorithm>
#include <array>

namespace quire::engine {
namespace {

// Ranges as dashboards made for vLLM expect them, with finer ones where a small model is faster.
constexpr std::array kFirstToken = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                    0.25,  0.5,   0.75, 1.0,  2.5,  5.0,  7.5,  10.0,
                                    20.0,  40.0,  80.0, 160., 640., 2560.};
constexpr std::array kGap = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075,
                             0.1,    0.15,  0.2,    0.3,   0.4,  0.5,   0.75, 1.0,
                             2.5,    5.0,   7.5,    10.0,  20.,  40.};
constexpr std::array kWhole = {0.01, 0.05, 0.1,  0.3,  0.5,   0.8,   1.0,  1.5,
                               2.0,  2.5,  5.0,  10.0, 15.0,  20.0,  30.,  40.0,
                               50.0, 60.0, 120., 240., 480.0, 960.0, 1920.};
constexpr std::array kTokens = {1.,   2.,    5.,    10.,   20.,    50.,    100.,   200.,
                                500., 1000., 2000., 5000., 10000., 20000., 50000., 100000.};
constexpr std::array kStepTokens = {1.,   8.,    16.,   32.,   64.,   128.,  256.,
                                    512., 1024., 2048., 4096., 8192., 16384.};

double seconds(RequestTimes::Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

RequestHistograms::RequestHistograms()
    : time_to_first_token(kFirstToken),
      inter_token_latency(kGap),
      time_per_output_token(kGap),
      end_to_end(kWhole),
      queue_time(kWhole),
      prefill_time(kWhole),
      decode_time(kWhole),
      prompt_tokens(kTokens),
      generation_tokens(kTokens),
      step_tokens(kStepTokens),
      cancel_to_free(kGap) {}

void RequestTimes::start(Clock::time_point now, RequestHistograms& all) {
  started_ = now;
  all.queue_time.observe(seconds(now - arrival_));
}

void RequestTimes::token(Clock::time_point now, RequestHistograms& all) {
  if (num_tokens_++ == 0) {
    first_token_ = now;
    all.time_to_first_token.observe(seconds(now - arrival_));
    all.prefill_time.observe(seconds(now - started_));
  } else {
    const double gap = seconds(now - last_token_);
    all.inter_token_latency.observe(gap);
    largest_gap_ = std::max(largest_gap_, gap);
    if (gap > all.largest_gap.load(std::memory_order_relaxed)) {
      all.largest_gap.store(gap, std::memory_order_relaxed);
    }
  }
  last_token_ = now;
}

ChoiceReport RequestTimes::report() const {
  const auto since_arrival = [this](Clock::time_point time) {
    return time == Clock::time_point{} ? -1.0 : seconds(time - arrival_);
  };
  return {.started = since_arrival(started_),
          .first_token = since_arrival(first_token_),
          .last_token = since_arrival(last_token_),
          .largest_gap = largest_gap_,
          .reused_tokens = {}};
}

void RequestTimes::end(Clock::time_point now, FinishReason finish, RequestHistograms& all) const {
  all.generation_tokens.observe(num_tokens_);
  all.prompt_tokens.observe(num_prompt_tokens_);
  if (finish == FinishReason::kAbort || finish == FinishReason::kError) return;
  all.end_to_end.observe(seconds(now - arrival_));
  if (num_tokens_ == 0) return;
  const double decode = seconds(last_token_ - first_token_);
  all.decode_time.observe(decode);
  if (num_tokens_ > 1) all.time_per_output_token.observe(decode / (num_tokens_ - 1));
}

}  // namespace quire::engine
