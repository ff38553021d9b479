#include "engine/backend/cuda/sample_upload.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/backend/cuda/sample_row.h"
#include "engine/philox.h"
#include "proto/check.h"

namespace quire::engine::cuda {

namespace {

using scheduler::StepSample;

constexpr std::int64_t kTopBytes = kMaxSampleTop * std::int64_t{sizeof(QuireCudaSampleTop)};

bool has_output_penalty(const SamplingParams& params) {
  return params.presence_penalty != 0.0f || params.frequency_penalty != 0.0f;
}

// As the host's sampler has it: nothing else changes a logit.
bool adjusts(const StepSample& sample) {
  const SamplingParams& params = *sample.params;
  return !params.logit_bias.empty() || sample.mask_end_tokens ||
         params.repetition_penalty != 1.0f || has_output_penalty(params);
}

// The device adds biases side by side.
bool biases_once_each(const SamplingParams& params) {
  const auto repeated =
      std::adjacent_find(params.logit_bias.begin(), params.logit_bias.end(),
                         [](const auto& a, const auto& b) { return a.first >= b.first; });
  return repeated == params.logit_bias.end();
}

float logprob(float logit, const QuireCudaSampleResult& result, double log_total) {
  return static_cast<float>(static_cast<double>(logit) - static_cast<double>(result.maximum) -
                            log_total);
}

}  // namespace

SampleUpload::SampleUpload(Device& device, std::int64_t vocab_size, std::int64_t max_samples)
    : vocab_size_(vocab_size),
      max_samples_(round_up(max_samples, kMaxSampleRows)),
      row_bytes_(max_samples_ * std::int64_t{sizeof(QuireCudaSampleRow)}),
      result_bytes_(max_samples_ * std::int64_t{sizeof(QuireCudaSampleResult)}),
      device_(device, kQuireCudaDevice, row_bytes_ + kMaxListed * 4),
      workspace_(device, kQuireCudaDevice, sample_workspace_bytes(kMaxSampleRows, vocab_size)),
      results_(device, kQuireCudaDevice, result_bytes_ + max_samples_ * kTopBytes) {
  CHECK_LE(vocab_size, kMaxSampleVocab);
  for (auto& step : steps_) {
    step = std::make_unique<Step>(device, device_.bytes(), results_.bytes());
  }
}

const QuireCudaSampleResult* SampleUpload::results() const {
  return reinterpret_cast<const QuireCudaSampleResult*>(results_.data());
}
QuireCudaSampleRow* SampleUpload::rows(const Step& step) {
  return reinterpret_cast<QuireCudaSampleRow*>(step.upload.data());
}
std::int32_t* SampleUpload::lists(const Step& step) const {
  return reinterpret_cast<std::int32_t*>(step.upload.data() + row_bytes_);
}

std::size_t SampleUpload::fill(std::span<const StepSample> samples,
                               std::span<const TokenId> end_token_ids) {
  CHECK_LT(num_in_flight_, steps_.size());
  Step& step = next_step();
  step.num_samples = static_cast<std::int64_t>(samples.size());
  CHECK_LE(step.num_samples, max_samples_);
  step.num_rows = 0;
  step.listed = 0;
  step.tops_wanted = false;
  // A tile is padded to its own end at the most.
  std::fill_n(rows(step), round_up(step.num_samples, kMaxSampleRows), QuireCudaSampleRow{});
  std::size_t num_taken = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    QuireCudaSampleRow& row = rows(step)[i];
    const bool taken = fill_row(samples[i], end_token_ids, row);
    row.active = taken ? 1 : 0;
    num_taken += taken ? 1 : 0;
    step.tops_wanted |= taken && row.num_top > 0;
  }
  return num_taken;
}

// False: the row is the host's.
bool SampleUpload::fill_row(const StepSample& sample, std::span<const TokenId> end_token_ids,
                            QuireCudaSampleRow& row) {
  const SamplingParams& params = *sample.params;
  if (sample.num_top > kMaxSampleTop) return false;
  row.num_top = sample.num_top;
  row.target = -1;
  if (sample.target != kNoToken) {
    CHECK(known(sample.target));
    row.target = sample.target;
    return true;
  }
  if (params.top_k > kMaxSorted) return false;
  row.uniform = philox_uniform(params.seed, sample.choice, sample.position);
  row.temperature = params.temperature;
  row.top_p = params.top_p;
  row.top_k = params.top_k;
  row.min_p = params.min_p;
  row.repetition_penalty = params.repetition_penalty;
  row.presence_penalty = params.presence_penalty;
  row.frequency_penalty = params.frequency_penalty;
  row.adjusted = adjusts(sample) ? 1 : 0;
  return row.adjusted == 0 || add_lists(sample, end_token_ids, row);
}

bool SampleUpload::add_lists(const StepSample& sample, std::span<const TokenId> end_token_ids,
                             QuireCudaSampleRow& row) {
  Step& step = next_step();
  std::int32_t& listed = step.listed;
  const SamplingParams& params = *sample.params;
  const std::size_t prompt = std::min<std::size_t>(sample.num_prompt_tokens, sample.history.size());
  const bool whole = params.repetition_penalty != 1.0f;
  std::span<const TokenId> history;
  if (whole) history = sample.history;
  if (!whole && has_output_penalty(params)) history = sample.history.subspan(prompt);
  const std::size_t most = 2 * params.logit_bias.size() + end_token_ids.size() +
                           params.stop_token_ids.size() + history.size();
  if (static_cast<std::int64_t>(most) > kMaxListed - listed) return false;
  if (!biases_once_each(params)) return false;

  std::int32_t* list = lists(step);
  row.bias_begin = listed;
  for (const auto& [id, bias] : params.logit_bias) {
    if (!known(id)) continue;
    list[listed++] = id;
    list[listed++] = std::bit_cast<std::int32_t>(bias);
  }
  row.num_biases = (listed - row.bias_begin) / 2;
  row.masked_begin = listed;
  if (sample.mask_end_tokens) {
    for (const std::span<const TokenId> ids : {end_token_ids, std::span(params.stop_token_ids)}) {
      for (const TokenId id : ids) {
        if (known(id)) list[listed++] = id;
      }
    }
  }
  row.num_masked = listed - row.masked_begin;
  row.history_begin = listed;
  row.num_history = static_cast<std::int32_t>(history.size());
  row.num_prompt = whole ? static_cast<std::int32_t>(prompt) : 0;
  std::copy(history.begin(), history.end(), list + listed);
  listed += row.num_history;
  return true;
}

void SampleUpload::describe(QuireCudaOp& op, std::int64_t first) {
  Step& step = next_step();
  CHECK_LE(op.x.rows, kMaxSampleRows);
  step.num_rows = std::max(step.num_rows, first + op.x.rows);
  CHECK_LE(step.num_rows, round_up(step.num_samples, kMaxSampleRows));
  auto* tops = reinterpret_cast<QuireCudaSampleTop*>(results_.data() + result_bytes_);
  op.sample = {.rows = reinterpret_cast<const QuireCudaSampleRow*>(device_.data()) + first,
               .lists = reinterpret_cast<const std::int32_t*>(device_.data() + row_bytes_),
               .results = reinterpret_cast<QuireCudaSampleResult*>(results_.data()) + first,
               .tops = tops + first * kMaxSampleTop,
               .top_stride = kMaxSampleTop};
  op.workspace = workspace_.floats();
  op.workspace_bytes = workspace_.bytes();
}

void SampleUpload::send(Stream& stream) {
  const Step& step = next_step();
  const std::int64_t bytes = step.listed > 0
                                 ? row_bytes_ + std::int64_t{step.listed} * 4
                                 : step.num_rows * std::int64_t{sizeof(QuireCudaSampleRow)};
  stream.copy(device_.data(), step.upload.data(), bytes);
}

void SampleUpload::fetch(Stream& stream) {
  Step& step = next_step();
  stream.copy(step.results.data(), results_.data(),
              step.num_samples * std::int64_t{sizeof(QuireCudaSampleResult)});
  if (step.tops_wanted) {
    stream.copy(step.results.data() + result_bytes_, results_.data() + result_bytes_,
                step.num_samples * kTopBytes);
  }
  stream.record(step.is_back);
  ++num_in_flight_;
  next_ = (next_ + 1) % steps_.size();
}

void SampleUpload::collect(std::span<SampledRow> out, std::span<TokenLogprob> tops,
                           std::int64_t tops_stride) {
  CHECK_GE(num_in_flight_, std::size_t{1});
  Step& step = *steps_[(next_ + steps_.size() - num_in_flight_) % steps_.size()];
  CHECK_EQ(static_cast<std::int64_t>(out.size()), step.num_samples);
  --num_in_flight_;
  step.is_back.synchronize();
  const auto* results = reinterpret_cast<const QuireCudaSampleResult*>(step.results.data());
  const auto* entries =
      reinterpret_cast<const QuireCudaSampleTop*>(step.results.data() + result_bytes_);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    read_row(rows(step)[i], results[i], entries + row * kMaxSampleTop, out[i],
             tops.subspan(i * static_cast<std::size_t>(tops_stride),
                          static_cast<std::size_t>(tops_stride)));
  }
}

void SampleUpload::read_row(const QuireCudaSampleRow& row, const QuireCudaSampleResult& result,
                            const QuireCudaSampleTop* entries, SampledRow& out,
                            std::span<TokenLogprob> top) const {
  if (row.active == 0 || result.status == kQuireCudaSampleHost) return;
  out.state =
      result.status == kQuireCudaSampled ? SampledRow::State::kChosen : SampledRow::State::kFault;
  if (out.state == SampledRow::State::kFault) return;
  CHECK(known(result.token));
  out.chosen.token = result.token;
  if (row.num_top < 0 && row.target < 0) return;
  const double log_total = std::log(result.sum);
  out.chosen.logprob = logprob(result.logit, result, log_total);
  out.num_top = static_cast<std::int32_t>(std::clamp<std::int64_t>(row.num_top, 0, vocab_size_));
  CHECK_LE(static_cast<std::size_t>(out.num_top), top.size());
  for (std::int32_t t = 0; t < out.num_top; ++t) {
    top[static_cast<std::size_t>(t)] = {.token = entries[t].token,
                                        .logprob = logprob(entries[t].logit, result, log_total)};
  }
}

}  // namespace quire::engine::cuda
