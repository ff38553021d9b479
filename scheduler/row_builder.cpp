#include "scheduler/row_builder.h"

#include <algorithm>

#include "proto/check.h"

namespace quire::scheduler {
namespace {

// The hidden state of token position - 1 tells of the token at `position`.
StepSample make_sample(const Sequence& sequence, std::int32_t row, std::int32_t offset,
                       std::int32_t position) {
  return {.row = row,
          .offset = offset,
          .position = position,
          .target = kNoToken,
          .choice = sequence.choice,
          .num_prompt_tokens = sequence.num_prompt_tokens,
          .num_top = sequence.params.num_logprobs,
          .mask_end_tokens = false,
          .params = &sequence.params,
          .history = {sequence.tokens.data(), static_cast<std::size_t>(position)}};
}

void append_scores(const Sequence& sequence, const StepRow& row, std::int32_t row_index,
                   StepPlan& plan) {
  if (!sequence.params.prompt_logprobs) return;
  // Position 0 has nothing before it; what was told before a preemption is not told again.
  const std::int32_t begin = std::max(row.first_position, sequence.num_scored_tokens) + 1;
  const std::int32_t end = std::min(row.context_len + 1, sequence.num_prompt_tokens);
  for (std::int32_t position = begin; position < end; ++position) {
    StepSample sample =
        make_sample(sequence, row_index, position - 1 - row.first_position, position);
    sample.target = sequence.tokens[position];
    plan.samples.push_back(sample);
  }
}

void append_choice(const Sequence& sequence, const StepRow& row, std::int32_t row_index,
                   StepPlan& plan) {
  if (row.context_len != sequence.num_tokens() || !sequence.wants_output()) return;
  StepSample sample = make_sample(sequence, row_index, row.num_tokens - 1, sequence.num_tokens());
  sample.mask_end_tokens = sequence.num_output_tokens() < sequence.params.min_tokens;
  plan.samples.push_back(sample);
}

}  // namespace

void append_row(const Sequence& sequence, std::int32_t num_tokens, std::int32_t num_blocks,
                StepPlan& plan) {
  const auto row_index = static_cast<std::int32_t>(plan.rows.size());
  const std::int32_t first = sequence.num_computed_tokens;
  const StepRow row{.sequence = sequence.id,
                    .token_begin = static_cast<std::int32_t>(plan.tokens.size()),
                    .num_tokens = num_tokens,
                    .first_position = first,
                    .context_len = first + num_tokens,
                    .block_begin = static_cast<std::int32_t>(plan.block_ids.size()),
                    .num_blocks = num_blocks};
  CHECK_GE(num_tokens, 1);
  CHECK_LE(row.context_len, sequence.num_tokens());
  CHECK_LE(static_cast<std::size_t>(num_blocks), sequence.blocks.size());

  const auto tokens = sequence.tokens.begin() + first;
  plan.tokens.insert(plan.tokens.end(), tokens, tokens + num_tokens);
  const auto blocks = sequence.blocks.blocks().first(static_cast<std::size_t>(num_blocks));
  plan.block_ids.insert(plan.block_ids.end(), blocks.begin(), blocks.end());
  plan.rows.push_back(row);
  append_scores(sequence, row, row_index, plan);
  append_choice(sequence, row, row_index, plan);
}

}  // namespace quire::scheduler
