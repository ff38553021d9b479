#pragma once
// RequestStory: from the deltas of a request's choices to what its record says of it.
//
// One per request, on its I/O thread; take() is called once per delta.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/token_stream.h"
#include "server/request_record.h"

namespace quire::server {

class RequestStory final {
 public:
  void take(const engine::Delta& delta) {
    const auto index = static_cast<std::size_t>(delta.choice);
    if (index >= choices_.size()) choices_.resize(index + 1);
    Choice& choice = choices_[index];
    choice.report = delta.report;
    choice.num_output_tokens = delta.num_output_tokens;
    if (delta.finish != FinishReason::kNone && finish_ == FinishReason::kNone) {
      finish_ = delta.finish;
    }
  }

  void describe(RequestRecord& record, std::int32_t block_size) const {
    double decode_seconds = 0.0;
    std::int64_t num_gaps = 0;
    for (const Choice& choice : choices_) {
      const engine::ChoiceReport& report = choice.report;
      keep_least(record.queue_seconds, report.started);
      keep_least(record.first_token_seconds, report.first_token);
      record.largest_gap_seconds = std::max(record.largest_gap_seconds, report.largest_gap);
      record.num_prefill_chunks += report.num_prefill_chunks;
      record.num_preemptions += report.num_preemptions;
      for (std::size_t i = 0; i < record.reused_blocks.size(); ++i) {
        record.reused_blocks[i] += report.reused_tokens.from[i] / std::max(block_size, 1);
      }
      if (choice.num_output_tokens < 2) continue;
      decode_seconds += report.last_token - report.first_token;
      num_gaps += choice.num_output_tokens - 1;
    }
    if (num_gaps > 0) record.seconds_per_token = decode_seconds / static_cast<double>(num_gaps);
    record.finish = finish_;
  }

 private:
  struct Choice {
    engine::ChoiceReport report;
    std::int32_t num_output_tokens = 0;
  };
  // Negative: it has not happened.
  static void keep_least(std::optional<double>& least, double seconds) {
    if (seconds >= 0.0) least = std::min(least.value_or(seconds), seconds);
  }

  std::vector<Choice> choices_;
  FinishReason finish_ = FinishReason::kNone;  // of the choice that ended first
};

}  // namespace quire::server
