#include "tests/engine/models/harness.h"

#include <algorithm>

namespace quire::test {

using engine::Backend;
using scheduler::StepOutput;
using scheduler::StepPlan;
using scheduler::StepRow;
using scheduler::StepSample;

const std::vector<BackendChoice>& backends() {
  static const std::vector<BackendChoice> choices = {
      {"reference", [] { return engine::make_reference_backend(); }},
      {"cpu, 1 thread", [] { return engine::make_cpu_backend(1); }},
      {"cpu, 2 threads", [] { return engine::make_cpu_backend(2); }},
  };
  return choices;
}

Harness::Harness(const std::filesystem::path& folder, const BackendChoice& choice,
                 const HarnessOptions& options)
    : config(engine::read_model_config(folder)),
      backend(choice.make()),
      model(engine::load_model(folder,
                               {.convert_dtype = options.convert.has_value(),
                                .dtype = options.convert.value_or(DType::kFloat32),
                                .product_dtype = options.product_dtype},
                               *backend)),
      storage(std::make_unique<engine::KvStorage>(
          *backend, engine::kv_spec(config, options.block_size, options.kv_dtype),
          options.num_blocks)),
      runner(std::make_unique<engine::ModelRunner>(
          engine::RunnerOptions{.max_num_batched_tokens = options.max_num_batched_tokens,
                                .max_num_seqs = 32,
                                .max_model_len = config.max_position_embeddings},
          *model, *storage, *backend)),
      block_size(options.block_size) {}

HandSequence::HandSequence(std::vector<TokenId> prompt, std::int32_t first, std::int32_t stride,
                           std::int32_t max_tokens, std::int32_t block_size)
    : tokens(std::move(prompt)) {
  for (std::int32_t i = 0; i * block_size < max_tokens; ++i) {
    blocks.push_back(BlockId{first + i * stride});
  }
  params.temperature = 0.0f;
  params.num_logprobs = 5;
}

void add_row(StepPlan& plan, HandSequence& sequence, std::int32_t n, bool sample,
             std::int32_t block_size) {
  const std::int32_t context_len = sequence.computed + n;
  const std::int32_t num_blocks = (context_len + block_size - 1) / block_size;
  const auto row = static_cast<std::int32_t>(plan.rows.size());
  plan.rows.push_back({.sequence = SequenceId{static_cast<std::uint64_t>(row)},
                       .token_begin = static_cast<std::int32_t>(plan.tokens.size()),
                       .num_tokens = n,
                       .first_position = sequence.computed,
                       .context_len = context_len,
                       .block_begin = static_cast<std::int32_t>(plan.block_ids.size()),
                       .num_blocks = num_blocks});
  const auto begin = sequence.tokens.begin() + sequence.computed;
  plan.tokens.insert(plan.tokens.end(), begin, begin + n);
  plan.block_ids.insert(plan.block_ids.end(), sequence.blocks.begin(),
                        sequence.blocks.begin() + num_blocks);
  if (sample) {
    plan.samples.push_back({.row = row,
                            .offset = n - 1,
                            .position = context_len,
                            .num_top = sequence.params.num_logprobs,
                            .params = &sequence.params,
                            .history = sequence.tokens});
  }
  sequence.computed = context_len;
}

namespace {

// The rows of one step of one sequence, for the model itself.
struct SingleRow {
  SingleRow(const HandSequence& sequence, std::int32_t n, std::int32_t block_size)
      : query_start{0, n},
        context_lens{sequence.computed + n},
        block_start{0, (sequence.computed + n + block_size - 1) / block_size},
        tokens(sequence.tokens.begin() + sequence.computed,
               sequence.tokens.begin() + sequence.computed + n),
        blocks(sequence.blocks.begin(), sequence.blocks.begin() + block_start[1]) {
    for (std::int32_t i = 0; i < n; ++i) {
      const std::int32_t position = sequence.computed + i;
      positions.push_back(position);
      slots.push_back(static_cast<std::int64_t>(blocks[position / block_size]) * block_size +
                      position % block_size);
      wanted.push_back(i);
    }
  }
  [[nodiscard]] engine::BatchInput batch() const {
    return {.token_ids = tokens,
            .positions = positions,
            .slot_mapping = slots,
            .query_start_loc = query_start,
            .context_lens = context_lens,
            .block_ids = blocks,
            .block_start = block_start,
            .sample_tokens = wanted};
  }
  std::vector<std::int32_t> query_start;
  std::vector<std::int32_t> context_lens;
  std::vector<std::int32_t> block_start;
  std::vector<TokenId> tokens;
  std::vector<BlockId> blocks;
  std::vector<std::int32_t> positions;
  std::vector<std::int64_t> slots;
  std::vector<std::int32_t> wanted;
};

}  // namespace

std::vector<float> logits_of(Harness& harness, const std::vector<TokenId>& tokens,
                             std::int32_t chunk) {
  const auto length = static_cast<std::int32_t>(tokens.size());
  const std::int64_t vocab = harness.config.vocab_size;
  HandSequence sequence(tokens, 1, 1, length, harness.block_size);
  std::vector<float> all;
  while (sequence.computed < length) {
    const std::int32_t n = std::min(chunk, length - sequence.computed);
    const SingleRow row(sequence, n, harness.block_size);
    const engine::BatchInput batch = row.batch();
    std::vector<float> part(static_cast<std::size_t>(n * vocab));
    const engine::TensorView out{
        .data = part.data(), .rows = n, .cols = vocab, .row_stride = vocab};
    harness.backend->begin_step(batch);
    harness.model->logits(harness.model->forward(batch, *harness.storage), out);
    harness.backend->end_step();
    all.insert(all.end(), part.begin(), part.end());
    sequence.computed += n;
  }
  return all;
}

std::vector<std::vector<TokenId>> greedy(Harness& harness,
                                         const std::vector<std::vector<TokenId>>& prompts,
                                         std::int32_t steps, std::int32_t chunk) {
  const auto count = static_cast<std::int32_t>(prompts.size());
  std::vector<HandSequence> sequences;
  for (std::int32_t i = 0; i < count; ++i) {
    const auto& prompt = prompts[static_cast<std::size_t>(i)];
    sequences.emplace_back(prompt, i, count, static_cast<std::int32_t>(prompt.size()) + steps,
                           harness.block_size);
  }
  std::vector<std::vector<TokenId>> results(prompts.size());
  StepPlan plan;
  StepOutput output;
  for (std::int32_t step = 0;; ++step) {
    plan.clear();
    std::vector<std::size_t> sampled;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      HandSequence& s = sequences[i];
      const auto left = static_cast<std::int32_t>(s.tokens.size()) - s.computed;
      const bool finished = results[i].size() == static_cast<std::size_t>(steps);
      if (finished || step < static_cast<std::int32_t>(i)) continue;
      const std::int32_t n = std::min(left, chunk);
      add_row(plan, s, n, n == left, harness.block_size);
      if (n == left) sampled.push_back(i);
    }
    if (plan.rows.empty() && step > count) return results;
    harness.runner->execute(plan, output);
    for (std::size_t k = 0; k < sampled.size(); ++k) {
      const TokenId token = output.tokens.at(output.samples.at(k).token_begin).token;
      results[sampled[k]].push_back(token);
      sequences[sampled[k]].tokens.push_back(token);
    }
  }
}

}  // namespace quire::test
