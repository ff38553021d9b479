#pragma once
// Sequence: one continuation of one prompt, from admission to its end.
//
// Built by the caller (Engine::submit, on any thread), then owned by the Scheduler on the engine
// thread. `tokens` has capacity for prompt + max_tokens from the start, so that appending does not
// allocate.
// 1. num_computed_tokens <= tokens.size(); the last token is never computed before it is needed for
//    the next one, so a running sequence in decode has num_computed_tokens == tokens.size() - 1.
// 2. num_prompt_tokens is constant; output tokens are tokens[num_prompt_tokens..].

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "cache/block_table.h"
#include "proto/types.h"

namespace quire::scheduler {

enum class SequenceState : std::uint8_t { kWaiting, kRunning, kFinished };

struct Sequence {
  SequenceId id{};
  std::int32_t priority = 0;  // smaller first
  std::uint64_t arrival = 0;  // order of submission within a priority
  std::chrono::steady_clock::time_point arrival_time{};
  std::int32_t choice = 0;  // index within its own prompt
  SamplingParams params;

  std::vector<TokenId> tokens;  // prompt, then output
  std::int32_t num_prompt_tokens = 0;
  std::int32_t num_computed_tokens = 0;

  SequenceState state = SequenceState::kWaiting;
  bool paused = false;
  std::chrono::steady_clock::time_point paused_since{};
  std::int32_t num_preemptions = 0;  // while it could have run: those of a paused one do not count
  std::int32_t num_scored_tokens = 0;  // prompt tokens whose logprob was already told
  cache::BlockTable blocks;
  std::int32_t reserved_blocks = 0;  // set aside in the cache for its worst case

  // The scheduler's own; meaningless to others.
  std::chrono::steady_clock::time_point expires_at{};  // deadline, or end of patience while paused
  std::int32_t queue_slot = -1;                        // where it stands in the request queue
  std::int32_t expiry_slot = -1;                       // and in the expiry queue
  StepId planned_in{};                                 // the last step that has a row of it

  [[nodiscard]] std::int32_t num_tokens() const { return static_cast<std::int32_t>(tokens.size()); }
  [[nodiscard]] std::int32_t num_output_tokens() const { return num_tokens() - num_prompt_tokens; }
  // Another token is still to be chosen (never, where it only scores its prompt).
  [[nodiscard]] bool wants_output() const { return num_output_tokens() < params.max_tokens; }
  // The most tokens it can ever hold.
  [[nodiscard]] std::int64_t max_total_tokens() const {
    return static_cast<std::int64_t>(num_prompt_tokens) + params.max_tokens;
  }
};

}  // namespace quire::scheduler
