#pragma once
// The scheduler's limits. Plain values with their unit and reason; server/config fills them.

#include <chrono>
#include <cstdint>
#include <vector>

#include "proto/types.h"

namespace quire::scheduler {

struct SchedulerOptions {
  // Sequences that run in one step: bounds activations, sampling and block tables.
  std::int32_t max_num_seqs = 256;
  // Tokens computed in one step: bounds a step's duration, so that a long prompt is cut into chunks
  // and those who decode are not held up. At least max_num_seqs is wise but not required.
  std::int32_t max_num_batched_tokens = 512;
  // Of those, at most so many for prefill where others decode in the same step: bounds how long
  // these wait for their next token. 0: no bound but the step's.
  std::int32_t max_num_prefill_tokens = 0;
  // Sequences that wait (those that run not counted); one more is refused with 429.
  std::int32_t max_queue_len = 1024;
  // Prompt and output of one sequence, in tokens; set from the model and the pool at start.
  std::int32_t max_model_len = 2048;
  // Times a sequence is preempted before it is readmitted only with its worst case reserved.
  std::int32_t max_preemptions = 3;
  // From arrival to the end; then the sequence is aborted.
  std::chrono::milliseconds request_deadline = std::chrono::minutes(10);
  // A paused sequence (its client does not read) is aborted after this long without progress.
  std::chrono::milliseconds stall_timeout = std::chrono::seconds(30);
  // A sequence waits this long for its pages from a lower tier; then it computes them.
  std::chrono::milliseconds read_timeout = std::chrono::seconds(2);
  // The model's end tokens.
  std::vector<TokenId> eos_token_ids;
  // Longest prefill chunk of one row, in tokens; 0: only the budget. Tests set it to odd values.
  std::int32_t max_chunk = 0;
  // Every so many steps the sequence that would be the next victim is preempted, and what nobody
  // holds is evicted; 0: never. For tests.
  std::int32_t force_preempt_every = 0;
};

}  // namespace quire::scheduler
