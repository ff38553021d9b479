#pragma once
// The online softmax of attention, as every kernel does it: within a split over its tiles, and from
// split to split in order. Scores are in units of log 2.
//
// Every multiplication and addition is one that the kernels of decodes, prompts and merges share,
// so that they agree in every bit; the device's build does not contract them.

#include <math.h>
#include <stdint.h>

#include "engine/backend/cuda/schedule.h"

namespace quire::engine::cuda {

inline constexpr float kLog2E = 1.44269504088896340736f;
inline constexpr float kNoScore = -INFINITY;  // of a key that a query does not see

QUIRE_HOST_DEVICE inline float exp2_of(float x) {
#ifdef __CUDA_ARCH__
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  return exp2f(x);
#endif
}

// What a sum relative to `from` is multiplied by to be relative to `to`; 0 where there was none.
QUIRE_HOST_DEVICE inline float rescale(float from, float to) {
  return from == kNoScore ? 0.0f : exp2_of(from - to);
}

// The weight of a score; 0 where the query does not see the key.
QUIRE_HOST_DEVICE inline float weight_of(float score, float maximum) {
  return score == kNoScore ? 0.0f : exp2_of(score - maximum);
}

// A split's sums on top of those of the splits before it.
struct MergeFactors {
  float maximum;
  float before;  // multiplies what there was
  float split;   // multiplies the split's
};
QUIRE_HOST_DEVICE inline MergeFactors merge_factors(float maximum, float split_maximum) {
  const float both = maximum > split_maximum ? maximum : split_maximum;
  return {both, rescale(maximum, both), rescale(split_maximum, both)};
}
QUIRE_HOST_DEVICE inline float merged(float before, float split, const MergeFactors& factors) {
  return fmaf(split, factors.split, before * factors.before);
}

// + 0.0f: a sum of zeros has one sign for everyone (masked keys are multiplied in as zeros).
QUIRE_HOST_DEVICE inline float normalised(float output, float total) {
  return output / total + 0.0f;
}

}  // namespace quire::engine::cuda
