#pragma once
// The two values between the scheduler and the model: what a step computes, and what came out.
//
// StepPlan is self-contained: flat arrays, no pointer into the scheduler except the per-sample
// parameters, which live as long as the sequence (freed only in Scheduler::update of this step or a
// later one). The shape allows step N+1 to be planned while N runs: a row's token may be "sample k
// of the step before" instead of an id.
//
//   tokens       [ row 0's tokens | row 1's tokens | ... ]            num_tokens() in all
//   block_ids    [ row 0's blocks | row 1's blocks | ... ]            of group 0
//   more_groups  the same for groups 1, 2, ... of a model with several kinds of attention
//   copies       to be done in this order before anything of the step is written
//   rows[r]      tokens [token_begin, token_begin + num_tokens) at positions
//                first_position, first_position + 1, ...; context_len counts the tokens in the
//                cache once this step has written its own.
//   samples[s]   the hidden state of token `offset` of row `row` chooses (or scores) the next
//   token.
//
// 1. rows: those that were running, by (priority, arrival), then the newly admitted in that order;
//    samples are sorted by (row, offset).
// 2. Capacities are reserved once (Scheduler::reserve): planning a step allocates nothing.

#include <cstdint>
#include <span>
#include <vector>

#include "cache/block_copy.h"
#include "proto/page_source.h"
#include "proto/types.h"

namespace quire::scheduler {

struct StepRow {
  SequenceId sequence{};
  std::int32_t token_begin = 0;
  std::int32_t num_tokens = 0;
  std::int32_t first_position = 0;
  std::int32_t context_len = 0;     // first_position + num_tokens
  std::int32_t block_begin = 0;     // into block_ids
  std::int32_t num_blocks = 0;      // ceil(context_len / block_size)
  std::int32_t source_sample = -1;  // >= 0: the only token is this sample of the step before
};

struct StepSample {
  std::int32_t row = 0;
  std::int32_t offset = 0;    // token of the row whose hidden state is used
  std::int32_t position = 0;  // of the token that is chosen or scored
  TokenId target = kNoToken;  // kNoToken: choose; else score this token (prompt logprobs)
  std::int32_t choice = 0;    // index of the choice within its own prompt: keys the generator
  std::int32_t num_prompt_tokens = 0;
  std::int32_t num_top = -1;     // as SamplingParams::num_logprobs
  bool mask_end_tokens = false;  // min_tokens not reached: end and stop token ids get no chance
  const SamplingParams* params = nullptr;
  // Prompt and output so far (penalties); ends before `position`. Of a row whose token is a sample
  // of the step before it lacks that token.
  std::span<const TokenId> history;
};

// The tables of one more group: row r has block_ids[row_begin[r] .. row_begin[r + 1]). What fell
// out of the group's window is kNoBlock.
struct GroupBlocks {
  std::vector<BlockId> block_ids;
  std::vector<std::int32_t> row_begin;
};

using cache::CopyKind;
using PageCopy = cache::BlockCopy;

struct StepPlan {
  StepId step_id{};
  std::vector<StepRow> rows;
  std::vector<TokenId> tokens;
  std::vector<BlockId> block_ids;
  std::vector<GroupBlocks> more_groups;
  std::vector<StepSample> samples;
  std::vector<PageCopy> copies;

  [[nodiscard]] bool empty() const { return rows.empty() && copies.empty(); }
  void clear() {
    rows.clear();
    tokens.clear();
    block_ids.clear();
    for (GroupBlocks& group : more_groups) {
      group.block_ids.clear();
      group.row_begin.assign(1, 0);
    }
    samples.clear();
    copies.clear();
  }
};

// A chosen or scored token; top_begin/top_count point into StepOutput::top (best first).
struct SampledToken {
  TokenId token = kNoToken;
  float logprob = 0.0f;
  std::int32_t top_begin = 0;
  std::int32_t top_count = 0;
};

// One per StepPlan::samples entry: a run of StepOutput::tokens (one today; several under
// speculation; none where a masked row waits). fault: its logits were not finite.
struct SampleOutput {
  std::int32_t token_begin = 0;
  std::int32_t num_tokens = 0;
  bool fault = false;
};

struct StepOutput {
  StepId step_id{};
  std::vector<SampleOutput> samples;
  std::vector<SampledToken> tokens;
  std::vector<TokenLogprob> top;
  std::int32_t copies_completed = 0;

  void clear() {
    samples.clear();
    tokens.clear();
    top.clear();
    copies_completed = 0;
  }
};

// What happened to a sequence in a step, in the order in which it must be told.
struct TokenEvent {
  SequenceId sequence{};
  bool is_prompt = false;    // a scored prompt token (echo with logprobs), not an output token
  TokenId token = kNoToken;  // kNoToken: the event only ends the sequence
  float logprob = 0.0f;
  std::span<const TokenLogprob> top;  // into the StepOutput
  FinishReason finish = FinishReason::kNone;
  TokenId stop_token = kNoToken;       // which id ended it, where finish is kStop
  std::int32_t num_cached_tokens = 0;  // of its prompt, that did not have to be computed
  ReusedTokens reused_tokens;          // these, by where they were
  std::int32_t num_prefill_chunks = 0;
  std::int32_t num_preemptions = 0;
};

}  // namespace quire::scheduler
