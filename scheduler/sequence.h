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

#include "cache/sequence_blocks.h"
#include "cache/tiers.h"
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
  std::uint64_t tenant = 0;  // who is to have a fair share of what is served
  CacheSalt salt;            // whose pages it may share
  SequenceId leader{};       // a sequence with the same prompt (n > 1), added before; 0: none
  // The client's own; the scheduler's may come earlier.
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();

  std::vector<TokenId> tokens;  // prompt, then output
  std::int32_t num_prompt_tokens = 0;
  std::int32_t num_computed_tokens = 0;

  SequenceState state = SequenceState::kWaiting;
  bool paused = false;
  std::chrono::steady_clock::time_point paused_since{};
  std::int32_t num_preemptions = 0;  // while it could have run: those of a paused one do not count
  std::int32_t num_prefill_chunks = 0;  // steps that computed a part of its prompt
  std::int32_t num_scored_tokens = 0;   // prompt tokens whose logprob was already told
  cache::SequenceBlocks blocks;
  // Prompt tokens that did not have to be computed when it started first; -1: it has not started.
  std::int32_t num_cached_tokens = -1;
  ReusedTokens reused_tokens;  // the same, by where they were

  // The scheduler's own; meaningless to others.
  std::chrono::steady_clock::time_point expires_at{};  // deadline, or end of patience while paused
  std::int32_t flow_slot = -1;  // the queue's flow it is of, and its own place in that heap
  Sequence* heap_parent = nullptr;
  Sequence* heap_left = nullptr;
  Sequence* heap_right = nullptr;
  std::int32_t num_charged_tokens = 0;         // counted as served to the tenant: once each
  std::int32_t expiry_slot = -1;               // where it stands in the expiry queue
  StepId planned_in{};                         // the last step that has a row of it
  cache::ReadTicket reads = cache::kNoTicket;  // its pages are on their way from below
  std::chrono::steady_clock::time_point reads_until{};  // then it goes on without them
  std::int32_t read_rounds = 0;                         // since it last came to wait
  Sequence* waits_for = nullptr;       // the leader whose prompt is still being computed
  Sequence* first_follower = nullptr;  // those that wait for this one
  Sequence* next_follower = nullptr;   // that wait for the same one

  [[nodiscard]] std::int32_t num_tokens() const { return static_cast<std::int32_t>(tokens.size()); }
  [[nodiscard]] std::int32_t num_output_tokens() const { return num_tokens() - num_prompt_tokens; }
  // Tokens whose keys and values are to be computed: one, where it decodes.
  [[nodiscard]] std::int32_t num_missing_tokens() const {
    return num_tokens() - num_computed_tokens;
  }
  // It waits for its turn: it may be claimed for.
  [[nodiscard]] bool stands_in_queue() const {
    return state == SequenceState::kWaiting && !paused && waits_for == nullptr &&
           reads == cache::kNoTicket;
  }
  // Another token is still to be chosen (never, where it only scores its prompt).
  [[nodiscard]] bool wants_output() const { return num_output_tokens() < params.max_tokens; }
  // Every prompt token that is to be scored has been.
  [[nodiscard]] bool is_scored() const {
    return !params.prompt_logprobs || num_scored_tokens == num_prompt_tokens - 1;
  }
  // Tokens whose keys and values serve even if another sequence computed them: all but the last,
  // whose hidden state chooses the next token; while it scores its prompt, those scored already.
  [[nodiscard]] std::int32_t num_reusable_tokens() const {
    return is_scored() ? num_tokens() - 1 : num_scored_tokens;
  }
  // The most tokens it can ever hold.
  [[nodiscard]] std::int64_t max_total_tokens() const {
    return static_cast<std::int64_t>(num_prompt_tokens) + params.max_tokens;
  }
};

}  // namespace quire::scheduler
