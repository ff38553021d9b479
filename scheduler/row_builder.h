#pragma once
// How a sequence's next tokens become a row of the plan. Pure.

#include <cstdint>

#include "cache/kv_cache_manager.h"
#include "scheduler/sequence.h"
#include "scheduler/step.h"

namespace quire::scheduler {

// Appends the `num_tokens` tokens after those computed as one row, with its samples: each known
// prompt token that is still to be scored (prompt_logprobs), and the choice of the next token where
// the row reaches the last known one. Invariant: the sequence's tables hold the row's context.
void append_row(const Sequence& sequence, std::int32_t num_tokens,
                const cache::KvCacheManager& cache, StepPlan& plan);

// The same for the token after the last known one, which is `source_sample` of the step before, and
// for the choice of the next. The history of that choice lacks the token.
void append_row_ahead(const Sequence& sequence, std::int32_t source_sample,
                      const cache::KvCacheManager& cache, StepPlan& plan);

}  // namespace quire::scheduler
