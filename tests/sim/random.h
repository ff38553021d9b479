#pragma once
// Random: the simulator's only source of chance (SplitMix64). Same seed, same run, on any machine:
// the standard library's distributions do not promise that.

#include <cstdint>
#include <initializer_list>

namespace quire::sim {

[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

class Random final {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() { return mix(state_ += 0x9E3779B97F4A7C15u); }
  // 0 <= result < bound.
  std::int32_t below(std::int32_t bound) {
    return static_cast<std::int32_t>(next() % static_cast<std::uint64_t>(bound));
  }
  std::int32_t between(std::int32_t low, std::int32_t high) { return low + below(high - low + 1); }
  bool chance(std::int32_t per_mille) { return below(1000) < per_mille; }
  std::int32_t one_of(std::initializer_list<std::int32_t> values) {
    return values.begin()[below(static_cast<std::int32_t>(values.size()))];
  }

 private:
  std::uint64_t state_;
};

}  // namespace quire::sim
