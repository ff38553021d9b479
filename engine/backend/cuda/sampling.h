#pragma once
// The arithmetic of sampling on a device: engine/sampler.cpp's own, element by element, compiled
// for the device and for the host alike. What a token's weight, its place in the sampling order and
// its adjusted logit are is defined there; tests compare the two bit for bit.

#include <math.h>
#include <stdint.h>

#include "engine/backend/cuda/page_codes.h"
#include "engine/backend/cuda/quire_cuda_abi.h"
#include "engine/backend/cuda/schedule.h"

namespace quire::engine::cuda {

inline constexpr int32_t kSampleThreads = 1024;    // of a row
inline constexpr int32_t kSampleLanes = 16;        // of the sums over the vocabulary
inline constexpr int32_t kSampleBlock = 1024;      // of the sums that a plain draw walks
inline constexpr int32_t kMaxSampleBlocks = 1024;  // so many of them are a vocabulary
inline constexpr int32_t kMaxSampleVocab = kSampleBlock * kMaxSampleBlocks;
inline constexpr int32_t kMaxSorted = 1024;   // tokens of a row that the device puts in order
inline constexpr int32_t kSampleTile = 4096;  // a multiple of the lanes and of a block
// Two sums of the same 2^20 weights or fewer, in whatever order, differ by less than this times
// either: each is within 2^20 * 2^-53 of the true one.
inline constexpr double kSumSlack = 0x1p-31;

// The row of the table for token t of an embedding. After a fault there is no token, and nobody
// wants what comes of it: the table's first row will do.
QUIRE_HOST_DEVICE inline int64_t embedded_token(const QuireCudaOp& op, int64_t t) {
  const int32_t id = op.index[t];
  if (id >= 0) return id;
  const QuireCudaSampleResult& result = op.sample.results[-1 - id];
  return result.status == kQuireCudaSampled ? result.token : 0;
}

QUIRE_HOST_DEVICE inline float exp_negative(float x) {
  constexpr float kRound = 12582912.0f;
  const float clamped = x < -87.3f ? -87.3f : x;
  const float n = (clamped * 1.44269504f + kRound) - kRound;
  const float f = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * (f * f) + (f + 1.0f);
  const float power = float_of(static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23);
  return x < -87.3f ? 0.0f : p * power;
}

QUIRE_HOST_DEVICE inline float token_weight(float logit, float best,
                                            const QuireCudaSampleRow& row) {
  return exp_negative((logit - best) / row.temperature);
}

// A larger key is earlier in the sampling order: the better logit, then the lower id. Both zeros
// are one logit. No key is 0 or all ones, as long as the logit is a number.
QUIRE_HOST_DEVICE inline uint64_t sort_key(float logit, int32_t id) {
  const uint32_t bits = bits_of(logit + 0.0f);
  const uint32_t ordered = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<uint64_t>(ordered) << 32 | (0xffffffffu - static_cast<uint32_t>(id));
}
QUIRE_HOST_DEVICE inline float logit_of(uint64_t key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return float_of((ordered & 0x80000000u) != 0 ? ordered ^ 0x80000000u : ~ordered);
}
QUIRE_HOST_DEVICE inline int32_t id_of(uint64_t key) {
  return static_cast<int32_t>(0xffffffffu - static_cast<uint32_t>(key));
}

QUIRE_HOST_DEVICE inline float limited(float adjusted, float original) {
  constexpr float kLargest = 3.40282346638528859812e+38f;
  if (original == -INFINITY) return original;
  if (adjusted < -kLargest) return -kLargest;
  return kLargest < adjusted ? kLargest : adjusted;
}

// What is known of a token: whether the history has it, and how often the output does.
inline constexpr uint32_t kSeen = 0x80000000u;

QUIRE_HOST_DEVICE inline float penalised(float logit, uint32_t marks,
                                         const QuireCudaSampleRow& row) {
  if (row.repetition_penalty != 1.0f && (marks & kSeen) != 0) {
    logit = limited(logit > 0.0f ? logit / row.repetition_penalty : logit * row.repetition_penalty,
                    logit);
  }
  const uint32_t count = marks & ~kSeen;
  if (count == 0) return logit;
  if (row.presence_penalty == 0.0f && row.frequency_penalty == 0.0f) return logit;
  const float frequency = row.frequency_penalty * static_cast<float>(static_cast<int32_t>(count));
  return limited(logit - frequency - row.presence_penalty, logit);
}

}  // namespace quire::engine::cuda
