#pragma once
// A team of threads (sample_row.h) that is one thread doing everybody's part after another: in
// order, backwards, or scattered, so that what depends on an order shows as a difference.

#include <cstdint>

namespace quire::engine::cuda::testing {

enum class TeamOrder : std::int32_t { kForwards, kBackwards, kScattered };

struct HostTeam {
  TeamOrder order = TeamOrder::kForwards;

  template <typename Function>
  void each(std::int32_t n, Function function) const {
    constexpr std::int64_t kStride = 7919;  // a prime: visits everything where n is no multiple
    for (std::int32_t i = 0; i < n; ++i) {
      if (order == TeamOrder::kForwards) function(i);
      if (order == TeamOrder::kBackwards) function(n - 1 - i);
      if (order == TeamOrder::kScattered) {
        function(n % kStride == 0 ? i : static_cast<std::int32_t>(kStride * i % n));
      }
    }
  }
  template <typename Function>
  void once(Function function) const {
    function();
  }
  std::uint32_t count(std::uint32_t* word) const { return (*word)++; }
  void mark(std::uint32_t* word, std::uint32_t bits) const { *word |= bits; }
};

}  // namespace quire::engine::cuda::testing
