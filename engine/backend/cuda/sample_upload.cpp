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

constexpr std::int64_t kRowBytes = kMaxSampleRows * std::int64_t{sizeof(QuireCudaSampleRow)};
constexpr std::int64_t kResultBytes = kMaxSampleRows * std::int64_t{sizeof(QuireCudaSampleResult)};
constexpr std::int64_t kTopBytes =
    kMaxSampleRows * kMaxSampleTop * std::int64_t{sizeof(QuireCudaSampleTop)};

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

SampleUpload::SampleUpload(Device& device, std::int64_t vocab_size)
    : vocab_size_(vocab_size),
      host_(device, kQuireCudaPinned, kRowBytes + kMaxListed * 4),
      device_(device, kQuireCudaDevice, host_.bytes()),
      workspace_(device, kQuireCudaDevice, sample_workspace_bytes(kMaxSampleRows, vocab_size)),
      results_(device, kQuireCudaDevice, kResultBytes + kTopBytes),
      host_results_(device, kQuireCudaPinned, results_.bytes()) {
  CHECK_LE(vocab_size, kMaxSampleVocab);
}

QuireCudaSampleRow* SampleUpload::rows() const {
  return reinterpret_cast<QuireCudaSampleRow*>(host_.data());
}
std::int32_t* SampleUpload::lists() const {
  return reinterpret_cast<std::int32_t*>(host_.data() + kRowBytes);
}

bool SampleUpload::fill(const SampleTile& tile, std::int64_t num_rows) {
  CHECK_LE(num_rows, kMaxSampleRows);
  num_rows_ = num_rows;
  listed_ = 0;
  tops_wanted_ = false;
  std::fill_n(rows(), num_rows, QuireCudaSampleRow{});
  bool any = false;
  for (std::size_t i = 0; i < tile.samples.size(); ++i) {
    QuireCudaSampleRow& row = rows()[i];
    const bool taken = fill_row(tile.samples[i], tile.end_token_ids, row);
    row.active = taken ? 1 : 0;
    any |= taken;
    tops_wanted_ |= taken && row.num_top > 0;
  }
  return any;
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
  const SamplingParams& params = *sample.params;
  const std::size_t prompt = std::min<std::size_t>(sample.num_prompt_tokens, sample.history.size());
  const bool whole = params.repetition_penalty != 1.0f;
  std::span<const TokenId> history;
  if (whole) history = sample.history;
  if (!whole && has_output_penalty(params)) history = sample.history.subspan(prompt);
  const std::size_t most = 2 * params.logit_bias.size() + end_token_ids.size() +
                           params.stop_token_ids.size() + history.size();
  if (static_cast<std::int64_t>(most) > kMaxListed - listed_) return false;
  if (!biases_once_each(params)) return false;

  std::int32_t* list = lists();
  row.bias_begin = listed_;
  for (const auto& [id, bias] : params.logit_bias) {
    if (!known(id)) continue;
    list[listed_++] = id;
    list[listed_++] = std::bit_cast<std::int32_t>(bias);
  }
  row.num_biases = (listed_ - row.bias_begin) / 2;
  row.masked_begin = listed_;
  if (sample.mask_end_tokens) {
    for (const std::span<const TokenId> ids : {end_token_ids, std::span(params.stop_token_ids)}) {
      for (const TokenId id : ids) {
        if (known(id)) list[listed_++] = id;
      }
    }
  }
  row.num_masked = listed_ - row.masked_begin;
  row.history_begin = listed_;
  row.num_history = static_cast<std::int32_t>(history.size());
  row.num_prompt = whole ? static_cast<std::int32_t>(prompt) : 0;
  std::copy(history.begin(), history.end(), list + listed_);
  listed_ += row.num_history;
  return true;
}

void SampleUpload::describe(QuireCudaOp& op) const {
  std::byte* device = device_.data();
  op.sample = {.rows = reinterpret_cast<const QuireCudaSampleRow*>(device),
               .lists = reinterpret_cast<const std::int32_t*>(device + kRowBytes),
               .results = reinterpret_cast<QuireCudaSampleResult*>(results_.data()),
               .tops = reinterpret_cast<QuireCudaSampleTop*>(results_.data() + kResultBytes),
               .top_stride = kMaxSampleTop};
  op.workspace = workspace_.floats();
  op.workspace_bytes = workspace_.bytes();
}

void SampleUpload::send(Stream& stream) {
  const std::int64_t bytes = listed_ > 0 ? kRowBytes + std::int64_t{listed_} * 4
                                         : num_rows_ * std::int64_t{sizeof(QuireCudaSampleRow)};
  stream.copy(device_.data(), host_.data(), bytes);
}

void SampleUpload::fetch(Stream& stream, const SampleTile& tile) {
  stream.copy(host_results_.data(), results_.data(),
              num_rows_ * std::int64_t{sizeof(QuireCudaSampleResult)});
  if (tops_wanted_) {
    stream.copy(host_results_.data() + kResultBytes, results_.data() + kResultBytes,
                num_rows_ * kMaxSampleTop * std::int64_t{sizeof(QuireCudaSampleTop)});
  }
  stream.synchronize();
  const auto* results = reinterpret_cast<const QuireCudaSampleResult*>(host_results_.data());
  const auto* tops =
      reinterpret_cast<const QuireCudaSampleTop*>(host_results_.data() + kResultBytes);
  for (std::size_t i = 0; i < tile.samples.size(); ++i) {
    const QuireCudaSampleRow& row = rows()[i];
    const QuireCudaSampleResult& result = results[i];
    SampledRow& out = tile.rows[i];
    if (row.active == 0 || result.status == kQuireCudaSampleHost) continue;
    out.state =
        result.status == kQuireCudaSampled ? SampledRow::State::kChosen : SampledRow::State::kFault;
    if (out.state == SampledRow::State::kFault) continue;
    CHECK(known(result.token));
    out.chosen.token = result.token;
    if (row.num_top < 0 && row.target < 0) continue;
    const double log_total = std::log(result.sum);
    out.chosen.logprob = logprob(result.logit, result, log_total);
    out.num_top = static_cast<std::int32_t>(std::clamp<std::int64_t>(row.num_top, 0, vocab_size_));
    CHECK_LE(out.num_top, tile.tops_stride);
    TokenLogprob* top = tile.tops.data() + static_cast<std::int64_t>(i) * tile.tops_stride;
    for (std::int32_t t = 0; t < out.num_top; ++t) {
      const QuireCudaSampleTop& entry = tops[static_cast<std::int64_t>(i) * kMaxSampleTop + t];
      top[t] = {.token = entry.token, .logprob = logprob(entry.logit, result, log_total)};
    }
  }
}

}  // namespace quire::engine::cuda
