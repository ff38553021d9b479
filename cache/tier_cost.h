#pragma once
// Read a span's pages from a tier, or compute them again? The cheaper by what was measured. Pure.

#include <cstdint>

namespace quire::cache {

// What decides: tests force one or the other.
enum class ReadPolicy : std::uint8_t { kCheaper, kAlways, kNever };

// Seconds for one span; 0 where nothing was measured yet.
struct SpanCosts {
  double compute = 0.0;
  double read_host = 0.0;   // host memory to device
  double read_lower = 0.0;  // disk or remote to host memory
};

// What is not known yet is tried: else it would never be known. Reading from below passes through
// host memory.
[[nodiscard]] constexpr bool worth_reading(ReadPolicy policy, const SpanCosts& costs, bool lower) {
  if (policy != ReadPolicy::kCheaper) return policy == ReadPolicy::kAlways;
  if (costs.compute <= 0.0 || (lower && costs.read_lower <= 0.0)) return true;
  return costs.read_host + (lower ? costs.read_lower : 0.0) < costs.compute;
}

}  // namespace quire::cache
