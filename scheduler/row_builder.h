#pragma once
// How a sequence's next tokens become a row of the plan. Pure.

#include <cstdint>

#include "scheduler/sequence.h"
#include "scheduler/step.h"

namespace quire::scheduler {

// Appends the `num_tokens` tokens after those computed as one row, with its samples: each known
// prompt token that is still to be scored (prompt_logprobs), and the choice of the next token where
// the row reaches the last known one. `num_blocks`: those that hold the row's context.
// Invariant: the sequence's table has these blocks.
void append_row(const Sequence& sequence, std::int32_t num_tokens, std::int32_t num_blocks,
                StepPlan& plan);

}  // namespace quire::scheduler
