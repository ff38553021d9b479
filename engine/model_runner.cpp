#include "engine/model_runner.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

namespace quire::engine {
namespace {

using scheduler::StepOutput;
using scheduler::StepPlan;
using scheduler::StepRow;
using scheduler::StepSample;

// A sampler for one thread at a time. Which one a row gets does not matter: a sampler holds nothing
// but scratch memory.
struct SamplerSlot {
  SamplerSlot(const ModelConfig& config, std::int32_t max_top)
      : sampler(config.vocab_size, max_top, config.eos_token_ids) {}
  Sampler sampler;
  std::atomic<bool> busy{false};
};

std::int64_t widest_activation(const ModelConfig& config) {
  const std::int64_t heads = std::int64_t{config.num_heads} + 2 * std::int64_t{config.num_kv_heads};
  return std::max({std::int64_t{config.hidden_size}, heads * config.head_dim,
                   2 * std::int64_t{config.intermediate_size}});
}

// A backend may pad a step's rows to a multiple of 8 (cuda/batch_ladder.h).
std::int64_t in_eights(std::int64_t rows) { return (rows + 7) / 8 * 8; }

// Rows [begin, begin + n).
TensorView rows_of(TensorView x, std::int64_t begin, std::int64_t n) {
  CHECK_LE(begin + n, x.rows);
  x.data = static_cast<std::byte*>(x.data) + begin * x.row_stride * dtype_bytes(x.dtype);
  x.rows = n;
  return x;
}

template <typename T>
void reserve_vector(std::vector<T>& vector, std::int64_t size) {
  vector.reserve(static_cast<std::size_t>(size));
}

}  // namespace

struct ModelRunner::Scratch {
  Scratch(const RunnerOptions& options, const ModelConfig& config, Backend& backend);

  void flatten(const StepPlan& plan, std::int32_t block_size);
  void append_row(const StepPlan& plan, const StepRow& row, std::int32_t block_size);
  [[nodiscard]] TokenId token_of(const StepPlan& plan, const StepRow& row, std::int32_t i) const;
  [[nodiscard]] BatchInput batch(const StepPlan& plan) const;
  [[nodiscard]] TensorView tile_logits() const {
    return {
        .data = logits.data(), .rows = kLogitRows, .cols = vocab_size, .row_stride = vocab_size};
  }
  SamplerSlot& take_sampler();
  [[nodiscard]] SampleTile tile(std::span<const StepSample> samples, TensorView logits_tile);
  void sample_row(const StepSample& sample, std::int64_t row, const float* logits_row);
  void emit(std::int64_t row, StepOutput& output);

  bool runs_ahead;
  std::int32_t vocab_size;
  std::int32_t max_model_len;
  std::int32_t max_top;
  std::int64_t max_samples;
  std::vector<TokenId> tokens;
  std::vector<std::int32_t> positions;
  std::vector<std::int64_t> slots;
  std::vector<std::int32_t> query_start;
  std::vector<std::int32_t> context_lens;
  std::vector<std::int32_t> block_start;
  std::vector<std::int32_t> sample_tokens;
  std::vector<TokenId> last_sampled;  // of the step before, by sample; kNoToken after a fault
  DeviceBuffer logits;                // [kLogitRows, vocab_size]
  std::vector<std::unique_ptr<SamplerSlot>> samplers;
  std::vector<TokenId> end_token_ids;
  // Of a tile, or of a step that the device samples.
  std::vector<SampledRow> results;  // [most]
  std::vector<TokenLogprob> tops;   // [most, max_top]
};

ModelRunner::Scratch::Scratch(const RunnerOptions& options, const ModelConfig& config,
                              Backend& backend)
    : runs_ahead(backend.runs_ahead()),
      vocab_size(config.vocab_size),
      max_model_len(static_cast<std::int32_t>(options.max_model_len)),
      max_top(options.max_logprobs),
      // Every token may be scored, and a row's last one chosen from as well.
      max_samples(options.max_num_batched_tokens + options.max_num_seqs),
      logits(backend.allocate(std::int64_t{kLogitRows} * config.vocab_size *
                              dtype_bytes(DType::kFloat32))),
      end_token_ids(config.eos_token_ids),
      results(static_cast<std::size_t>(std::max<std::int64_t>(kLogitRows, options.max_num_seqs))),
      tops(results.size() * static_cast<std::size_t>(std::max(max_top, 1))) {
  reserve_vector(tokens, options.max_num_batched_tokens);
  reserve_vector(positions, options.max_num_batched_tokens);
  reserve_vector(slots, options.max_num_batched_tokens);
  reserve_vector(query_start, options.max_num_seqs + 1);
  reserve_vector(context_lens, options.max_num_seqs);
  reserve_vector(block_start, options.max_num_seqs + 1);
  reserve_vector(sample_tokens, max_samples);
  reserve_vector(last_sampled, max_samples);
  // As many as can be at work at once; each takes memory in proportion to the vocabulary.
  const unsigned threads =
      std::clamp(std::thread::hardware_concurrency(), 1u, unsigned{kLogitRows});
  for (unsigned i = 0; i < threads; ++i) {
    samplers.push_back(std::make_unique<SamplerSlot>(config, max_top));
  }
}

// The plan's rows as flat arrays.
void ModelRunner::Scratch::flatten(const StepPlan& plan, std::int32_t block_size) {
  tokens.clear();
  positions.clear();
  slots.clear();
  context_lens.clear();
  sample_tokens.clear();
  query_start.assign(1, 0);
  block_start.assign(1, 0);
  for (const StepRow& row : plan.rows) append_row(plan, row, block_size);
  for (const StepSample& sample : plan.samples) {
    const StepRow& row = plan.rows[static_cast<std::size_t>(sample.row)];
    CHECK(sample.offset >= 0 && sample.offset < row.num_tokens);
    sample_tokens.push_back(row.token_begin + sample.offset);
  }
}

void ModelRunner::Scratch::append_row(const StepPlan& plan, const StepRow& row,
                                      std::int32_t block_size) {
  CHECK_EQ(row.token_begin, query_start.back());
  CHECK_EQ(row.block_begin, block_start.back());
  CHECK_LE(row.context_len, max_model_len);
  CHECK_LE(row.context_len, row.num_blocks * block_size);
  CHECK_EQ(row.context_len, row.first_position + row.num_tokens);
  for (std::int32_t i = 0; i < row.num_tokens; ++i) {
    const TokenId token = token_of(plan, row, i);
    const std::int32_t position = row.first_position + i;
    const std::int32_t index = row.block_begin + position / block_size;
    const auto block = plan.block_ids[static_cast<std::size_t>(index)];
    tokens.push_back(token);
    positions.push_back(position);
    slots.push_back(static_cast<std::int64_t>(block) * block_size + position % block_size);
  }
  query_start.push_back(row.token_begin + row.num_tokens);
  context_lens.push_back(row.context_len);
  block_start.push_back(row.block_begin + row.num_blocks);
}

TokenId ModelRunner::Scratch::token_of(const StepPlan& plan, const StepRow& row,
                                       std::int32_t i) const {
  if (row.source_sample >= 0) {
    if (runs_ahead) return -1 - row.source_sample;
    // After a fault there is no such token, and nobody wants this row's result: any id will do.
    return std::max(last_sampled[static_cast<std::size_t>(row.source_sample)], 0);
  }
  const std::int32_t index = row.token_begin + i;
  const TokenId token = plan.tokens[static_cast<std::size_t>(index)];
  CHECK(token >= 0 && token < vocab_size);
  return token;
}

BatchInput ModelRunner::Scratch::batch(const StepPlan& plan) const {
  return {.token_ids = tokens,
          .positions = positions,
          .slot_mapping = slots,
          .query_start_loc = query_start,
          .context_lens = context_lens,
          .block_ids = plan.block_ids,
          .block_start = block_start,
          .sample_tokens = sample_tokens};
}

// One that no other thread uses. Goes round only where there are more threads than samplers.
SamplerSlot& ModelRunner::Scratch::take_sampler() {
  for (;;) {
    for (const auto& slot : samplers) {
      if (!slot->busy.exchange(true, std::memory_order_acquire)) return *slot;
    }
    std::this_thread::yield();
  }
}

// Nothing of it sampled yet.
SampleTile ModelRunner::Scratch::tile(std::span<const StepSample> samples, TensorView logits_tile) {
  std::fill_n(results.begin(), samples.size(), SampledRow{});
  return {.logits = logits_tile,
          .samples = samples,
          .end_token_ids = end_token_ids,
          .rows = std::span(results).first(samples.size()),
          .tops = tops,
          .tops_stride = max_top};
}

void ModelRunner::Scratch::sample_row(const StepSample& sample, std::int64_t row,
                                      const float* logits_row) {
  SamplerSlot& slot = take_sampler();
  const Sampler::Outcome outcome =
      slot.sampler.sample({logits_row, static_cast<std::size_t>(vocab_size)}, sample);
  CHECK_LE(outcome.top.size(), static_cast<std::size_t>(max_top));
  std::copy(outcome.top.begin(), outcome.top.end(), tops.begin() + row * max_top);
  results[static_cast<std::size_t>(row)] = {
      .state = outcome.fault ? SampledRow::State::kFault : SampledRow::State::kChosen,
      .num_top = static_cast<std::int32_t>(outcome.top.size()),
      .chosen = outcome.chosen};
  slot.busy.store(false, std::memory_order_release);
}

// Appends a row of the results to the output; one that is left is put off.
void ModelRunner::Scratch::emit(std::int64_t row, StepOutput& output) {
  const SampledRow& result = results[static_cast<std::size_t>(row)];
  const bool chosen = result.state == SampledRow::State::kChosen;
  output.samples.push_back({.token_begin = static_cast<std::int32_t>(output.tokens.size()),
                            .num_tokens = chosen ? 1 : 0,
                            .fault = result.state == SampledRow::State::kFault});
  last_sampled.push_back(chosen ? result.chosen.token : kNoToken);
  if (!chosen) return;
  output.tokens.push_back({.token = result.chosen.token,
                           .logprob = result.chosen.logprob,
                           .top_begin = static_cast<std::int32_t>(output.top.size()),
                           .top_count = result.num_top});
  const auto top = tops.begin() + row * max_top;
  output.top.insert(output.top.end(), top, top + result.num_top);
}

ModelRunner::ModelRunner(const RunnerOptions& options, Model& model, KvStorage& storage,
                         Backend& backend)
    : model_(&model),
      storage_(&storage),
      backend_(&backend),
      host_(options.host),
      scratch_(std::make_unique<Scratch>(options, model.config(), backend)) {
  // A product runs over the tokens of a step or over a tile of logits; norms also over the samples.
  const std::int64_t max_rows =
      in_eights(std::max<std::int64_t>(scratch_->max_samples, kLogitRows));
  backend.reserve(max_rows, options.max_num_seqs, widest_activation(model.config()),
                  options.max_model_len);
  model.reserve(in_eights(options.max_num_batched_tokens), in_eights(scratch_->max_samples));
}

// What is under way writes the model's memory.
ModelRunner::~ModelRunner() {
  try {
    while (num_launched_ > 0) (void)finish_oldest();
  } catch (const std::exception&) {
    // The device is lost, and so nothing is under way.
  }
}

void ModelRunner::execute(const StepPlan& plan, StepOutput& output) {
  CHECK_EQ(num_launched_, std::size_t{0});
  begin_output(plan, output);
  const BatchInput batch = begin_step(plan);
  if (batch.num_tokens() > 0) sample(plan, model_->forward(batch, *storage_), output);
  backend_->end_step();
}

void ModelRunner::begin_output(const StepPlan& plan, StepOutput& output) {
  Scratch& scratch = *scratch_;
  output.clear();
  output.step_id = plan.step_id;
  output.copies_completed = static_cast<std::int32_t>(plan.copies.size());
  // Room for the largest step, once: a caller that keeps its output never makes this allocate
  // again.
  reserve_vector(output.samples, scratch.max_samples);
  reserve_vector(output.tokens, scratch.max_samples);
  reserve_vector(output.top, scratch.max_samples * scratch.max_top);
}

BatchInput ModelRunner::begin_step(const StepPlan& plan) {
  Scratch& scratch = *scratch_;
  CHECK(plan.more_groups.empty());  // BatchInput has the tables of one group
  scratch.flatten(plan, storage_->spec().groups.front().block_size);
  scratch.last_sampled.clear();
  BatchInput batch = scratch.batch(plan);
  batch.heartbeat = heartbeat();
  backend_->begin_step(batch);
  copy_pages(plan);
  return batch;
}

bool ModelRunner::launch(const StepPlan& plan) {
  CHECK_LT(num_launched_, launched_.size());
  const auto is_ahead = [](const StepRow& row) { return row.source_sample >= 0; };
  const bool ahead = std::any_of(plan.rows.begin(), plan.rows.end(), is_ahead);
  const bool started = (ahead || steps_alone_ == 0) && prepare_samples(plan);
  CHECK(started || (!ahead && num_launched_ == 0));
  if (started) {
    start(plan);
  } else if (steps_alone_ > 0) {
    --steps_alone_;
  }
  launched_[num_launched_++] = {
      .plan = &plan, .started = started, .num_samples = plan.samples.size()};
  return started;
}

// Choices alone: one that the device cannot make is put off, which a score cannot be.
bool ModelRunner::prepare_samples(const StepPlan& plan) {
  const Scratch& scratch = *scratch_;
  if (plan.rows.empty() || plan.samples.size() > scratch.results.size()) return false;
  const auto chooses = [](const StepSample& sample) { return sample.target == kNoToken; };
  return std::all_of(plan.samples.begin(), plan.samples.end(), chooses) &&
         backend_->prepare_samples(plan.samples, scratch.end_token_ids, scratch.vocab_size);
}

// Without a wait: all tiles of logits are sampled before the first result is read.
void ModelRunner::start(const StepPlan& plan) {
  const BatchInput batch = begin_step(plan);
  const TensorView hidden = model_->forward(batch, *storage_);
  const auto total = static_cast<std::int64_t>(plan.samples.size());
  for (std::int64_t begin = 0; begin < total; begin += kLogitRows) {
    const std::int64_t n = std::min<std::int64_t>(kLogitRows, total - begin);
    const TensorView logits = scratch_->tile_logits().head(n);
    model_->logits(rows_of(hidden, begin, n), logits);
    backend_->queue_samples(logits, begin);
  }
  backend_->start_step();
  if (heartbeat() != nullptr) heartbeat()->beat();
}

// Its samples; none where it was not started.
std::span<SampledRow> ModelRunner::finish_oldest() {
  CHECK_GE(num_launched_, std::size_t{1});
  const Launched oldest = launched_[0];
  launched_[0] = launched_[1];
  --num_launched_;
  if (!oldest.started) return {};
  Scratch& scratch = *scratch_;
  const std::span rows = std::span(scratch.results).first(oldest.num_samples);
  std::fill(rows.begin(), rows.end(), SampledRow{});
  backend_->finish_step(rows, scratch.tops, scratch.max_top);
  return rows;
}

void ModelRunner::collect(StepOutput& output) {
  const Launched oldest = launched_[0];
  const std::span<SampledRow> rows = finish_oldest();
  if (!oldest.started) return execute(*oldest.plan, output);
  Scratch& scratch = *scratch_;
  begin_output(*oldest.plan, output);
  scratch.last_sampled.clear();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].state == SampledRow::State::kLeft) steps_alone_ = kStepsAlone;
    scratch.emit(static_cast<std::int64_t>(i), output);
  }
  if (heartbeat() != nullptr) heartbeat()->beat();
}

// Copies come before the step's own writes: a page that is about to be written may be a copy. They
// are complete when the step is (Backend::end_step).
void ModelRunner::copy_pages(const StepPlan& plan) {
  const KvLayer any_layer = storage_->layer(0, 0);
  for (const scheduler::PageCopy& copy : plan.copies) {
    switch (copy.kind) {
      case scheduler::CopyKind::kCopyOnWrite:
        backend_->copy_page(any_layer, copy.from, copy.to);
        break;
      case scheduler::CopyKind::kIn:
        backend_->copy_page_in(any_layer, host_->page(copy.from), copy.to);
        break;
      case scheduler::CopyKind::kOut:
        backend_->copy_page_out(any_layer, copy.from, host_->page(copy.to));
        break;
    }
  }
}

// Logits and samples of all wanted rows, tile after tile.
void ModelRunner::sample(const StepPlan& plan, TensorView hidden, StepOutput& output) {
  Scratch& scratch = *scratch_;
  const auto total = static_cast<std::int64_t>(plan.samples.size());
  for (std::int64_t begin = 0; begin < total; begin += kLogitRows) {
    const std::int64_t n = std::min<std::int64_t>(kLogitRows, total - begin);
    const TensorView logits = scratch.tile_logits().head(n);
    model_->logits(rows_of(hidden, begin, n), logits);
    const SampleTile tile =
        scratch.tile({plan.samples.data() + begin, static_cast<std::size_t>(n)}, logits);
    backend_->sample(tile);
    sample_rest(tile);
    for (std::int64_t i = 0; i < n; ++i) {
      CHECK(tile.rows[static_cast<std::size_t>(i)].state != SampledRow::State::kLeft);
      scratch.emit(i, output);
    }
    if (heartbeat() != nullptr) heartbeat()->beat();
  }
}

// What the backend left, on the host's threads.
void ModelRunner::sample_rest(const SampleTile& tile) {
  struct Rest {
    Scratch* scratch;
    const SampleTile* tile;
    std::int64_t first;
    const float* logits;
  };
  const auto left = [](const SampledRow& row) { return row.state == SampledRow::State::kLeft; };
  const auto first = std::find_if(tile.rows.begin(), tile.rows.end(), left);
  if (first == tile.rows.end()) return;
  const auto last = std::find_if(tile.rows.rbegin(), tile.rows.rend(), left);
  const std::int64_t begin = first - tile.rows.begin();
  const std::int64_t n = last.base() - first;
  Rest rest{scratch_.get(), &tile, begin, backend_->to_host(rows_of(tile.logits, begin, n))};
  backend_->parallel_for(
      n,
      [](void* context, std::int64_t i) {
        const Rest& r = *static_cast<const Rest*>(context);
        const auto row = static_cast<std::size_t>(r.first + i);
        if (r.tile->rows[row].state != SampledRow::State::kLeft) return;
        r.scratch->sample_row(r.tile->samples[row], r.first + i,
                              r.logits + i * r.scratch->vocab_size);
      },
      &rest);
}

}  // namespace quire::engine
