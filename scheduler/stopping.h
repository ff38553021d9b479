#pragma once
// Why a sequence ends with its newest token, if it does. Pure.

#include <algorithm>
#include <span>

#include "proto/types.h"
#include "scheduler/sequence.h"
#include "scheduler/step.h"

namespace quire::scheduler {

struct Ending {
  FinishReason finish = FinishReason::kNone;
  TokenId stop_token = kNoToken;  // the client's stop token id; not told for the model's own end
};

// Looks at the last token of `sequence`, an output token. Where the last allowed token is an end
// token, the end token is the reason.
[[nodiscard]] inline Ending ending_of(const Sequence& sequence, std::span<const TokenId> eos) {
  const TokenId token = sequence.tokens.back();
  const auto is_in = [token](std::span<const TokenId> ids) {
    return std::find(ids.begin(), ids.end(), token) != ids.end();
  };
  if (!sequence.params.ignore_eos && is_in(eos)) return {.finish = FinishReason::kStop};
  if (is_in(sequence.params.stop_token_ids)) {
    return {.finish = FinishReason::kStop, .stop_token = token};
  }
  if (!sequence.wants_output()) return {.finish = FinishReason::kLength};
  return {};
}

// Ends the sequence and tells no token.
[[nodiscard]] inline TokenEvent ending_event(const Sequence& sequence, FinishReason finish) {
  TokenEvent event;
  event.sequence = sequence.id;
  event.finish = finish;
  event.num_cached_tokens = std::max(0, sequence.num_cached_tokens);
  event.reused_tokens = sequence.reused_tokens;
  event.num_prefill_chunks = sequence.num_prefill_chunks;
  event.num_preemptions = sequence.num_preemptions;
  return event;
}

}  // namespace quire::scheduler
