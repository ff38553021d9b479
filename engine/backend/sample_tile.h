#pragma once
// SampleTile: a step's rows of logits with what each is sampled with, for a backend that samples
// where the logits lie; and what it made of a row. A view, valid for one call.

#include <cstdint>
#include <span>

#include "engine/tensor.h"
#include "proto/types.h"
#include "scheduler/step.h"

namespace quire::engine {

struct SampledRow {
  enum class State : std::uint8_t { kLeft, kFault, kChosen };
  State state = State::kLeft;  // to the host's sampler
  std::int32_t num_top = 0;    // of the row in SampleTile::tops
  TokenLogprob chosen;
};

struct SampleTile {
  TensorView logits;                               // [S, vocabulary], not changed
  std::span<const scheduler::StepSample> samples;  // [S]
  std::span<const TokenId> end_token_ids;          // Sampler's
  std::span<SampledRow> rows;                      // [S], out
  std::span<TokenLogprob> tops;                    // [S, tops_stride], out
  std::int64_t tops_stride = 0;
};

}  // namespace quire::engine
