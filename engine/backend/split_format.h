#pragma once
// float32 as two bfloat16: what a product with bfloat16 weights computes on matrix tiles (AMX),
// which multiply bfloat16 only.
//
// An activation is split into high = x rounded to bfloat16 and low = what is left, rounded. Their
// sum is within 2^-17 of x (2^-19 on average), so a sum of 1,000 products errs about as much as
// float32's own roundings make it: a third part would be exact, half as fast again, and could not
// be told from this. Below 2^-118 low is lost, and a subnormal x: tiles take those for zero.
//
// The product is a chain over units of kSplitUnit k's, the last one filled up with zeros, and in
// each over the parts, high first:
//   even = chain over the even k's of fma(part[k], w[k], even), odd likewise, both from +0
//   out  = out + (even + odd)
// That is TDPBF16PS as the Intel 64 and IA-32 Architectures Software Developer's Manual (volume 2)
// has it. Subnormal sums are flushed to zero there and not here: no test has any.
//
// Pure functions. These are the oracle's; cpu/amx_kernel.inc has the same arithmetic in tiles.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "engine/backend/float_formats.h"

namespace quire::engine {

inline constexpr std::int64_t kSplitUnit = 32;
inline constexpr int kSplitParts = 2;

struct SplitFloat {
  float part[kSplitParts];  // high, low; each a bfloat16's number
};

[[nodiscard]] inline SplitFloat split(float x) {
  SplitFloat result{};
  for (float& part : result.part) {
    part = bfloat16_to_float(float_to_bfloat16(x));
    x -= part;
  }
  return result;
}

// x . w over n k's; w are bfloat16's numbers.
[[nodiscard]] inline float split_dot(const SplitFloat* x, const float* w, std::int64_t n) {
  float sum = 0.0f;
  for (std::int64_t unit = 0; unit < n; unit += kSplitUnit) {
    const std::int64_t end = std::min(unit + kSplitUnit, n);
    for (int p = 0; p < kSplitParts; ++p) {
      float pair[2] = {};
      for (std::int64_t k = unit; k < end; ++k) {
        pair[k % 2] = std::fma(x[k].part[p], w[k], pair[k % 2]);
      }
      sum += pair[0] + pair[1];
    }
  }
  return sum;
}

}  // namespace quire::engine
