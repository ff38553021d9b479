#include "scheduler/row_builder.h"

#include <algorithm>

#include "proto/check.h"

namespace quire::scheduler {
namespace {

// The samples and rows are written in place: a copy of what was just written in narrower pieces
// waits for them to leave the store buffer, which was a third of schedule().

// The hidden state of token position - 1 tells of the token at `position`.
StepSample& append_sample(const Sequence& sequence, std::int32_t row, std::int32_t offset,
                          std::int32_t position, StepPlan& plan) {
  StepSample& sample = plan.samples.emplace_back();
  sample.row = row;
  sample.offset = offset;
  sample.position = position;
  sample.choice = sequence.choice;
  sample.num_prompt_tokens = sequence.num_prompt_tokens;
  sample.num_top = sequence.params.num_logprobs;
  sample.params = &sequence.params;
  sample.history = {sequence.tokens.data(), static_cast<std::size_t>(position)};
  return sample;
}

void append_scores(const Sequence& sequence, const StepRow& row, std::int32_t row_index,
                   StepPlan& plan) {
  if (!sequence.params.prompt_logprobs) return;
  // Position 0 has nothing before it; what was told before a preemption is not told again.
  const std::int32_t begin = std::max(row.first_position, sequence.num_scored_tokens) + 1;
  const std::int32_t end = std::min(row.context_len + 1, sequence.num_prompt_tokens);
  for (std::int32_t position = begin; position < end; ++position) {
    append_sample(sequence, row_index, position - 1 - row.first_position, position, plan).target =
        sequence.tokens[position];
  }
}

void append_choice(const Sequence& sequence, const StepRow& row, std::int32_t row_index,
                   StepPlan& plan) {
  if (row.context_len != sequence.num_tokens() || !sequence.wants_output()) return;
  append_sample(sequence, row_index, row.num_tokens - 1, sequence.num_tokens(), plan)
      .mask_end_tokens = sequence.num_output_tokens() < sequence.params.min_tokens;
}

// The blocks of the group that hold the row's context; returns their number.
std::int32_t append_blocks(const Sequence& sequence, std::size_t group, std::int32_t context_len,
                           const cache::KvCacheManager& cache, std::vector<BlockId>& block_ids) {
  const auto count = static_cast<std::size_t>(cache.table_size(group, context_len));
  const auto blocks = sequence.blocks.table(group).blocks();
  CHECK_LE(count, blocks.size());
  block_ids.insert(block_ids.end(), blocks.begin(),
                   blocks.begin() + static_cast<std::ptrdiff_t>(count));
  return static_cast<std::int32_t>(count);
}

// A row with its tables; its tokens are the caller's.
StepRow& begin_row(const Sequence& sequence, std::int32_t first, std::int32_t num_tokens,
                   const cache::KvCacheManager& cache, StepPlan& plan) {
  StepRow& row = plan.rows.emplace_back();
  row.sequence = sequence.id;
  row.token_begin = static_cast<std::int32_t>(plan.tokens.size());
  row.num_tokens = num_tokens;
  row.first_position = first;
  row.context_len = first + num_tokens;
  row.block_begin = static_cast<std::int32_t>(plan.block_ids.size());
  row.num_blocks = append_blocks(sequence, 0, row.context_len, cache, plan.block_ids);
  for (std::size_t g = 1; g < cache.num_groups(); ++g) {
    GroupBlocks& group = plan.more_groups[g - 1];
    append_blocks(sequence, g, row.context_len, cache, group.block_ids);
    group.row_begin.push_back(static_cast<std::int32_t>(group.block_ids.size()));
  }
  return row;
}

}  // namespace

void append_row(const Sequence& sequence, std::int32_t num_tokens,
                const cache::KvCacheManager& cache, StepPlan& plan) {
  const auto row_index = static_cast<std::int32_t>(plan.rows.size());
  const std::int32_t first = sequence.num_computed_tokens;
  CHECK_GE(num_tokens, 1);
  CHECK_LE(first + num_tokens, sequence.num_tokens());
  const StepRow& row = begin_row(sequence, first, num_tokens, cache, plan);
  const auto tokens = sequence.tokens.begin() + first;
  plan.tokens.insert(plan.tokens.end(), tokens, tokens + num_tokens);
  append_scores(sequence, row, row_index, plan);
  append_choice(sequence, row, row_index, plan);
}

void append_row_ahead(const Sequence& sequence, std::int32_t source_sample,
                      const cache::KvCacheManager& cache, StepPlan& plan) {
  const auto row_index = static_cast<std::int32_t>(plan.rows.size());
  const std::int32_t first = sequence.num_tokens();
  begin_row(sequence, first, 1, cache, plan).source_sample = source_sample;
  plan.tokens.push_back(kNoToken);
  StepSample& sample = append_sample(sequence, row_index, 0, first + 1, plan);
  sample.history = sequence.tokens;
  sample.mask_end_tokens = sequence.num_output_tokens() + 1 < sequence.params.min_tokens;
}

}  // namespace quire::scheduler
