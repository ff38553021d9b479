#pragma once
// Histogram: how often a measure fell into each of a few fixed ranges.
//
// One thread observes, any thread reads; a reader may see an observation's count before its sum.
// 1. observe() allocates nothing and takes no lock. Cost: O(log bounds).

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace quire::engine {

class Histogram final {
 public:
  // Ascending upper bounds, which outlive this; beyond the last one lies one range more.
  explicit Histogram(std::span<const double> bounds)
      : bounds_(bounds), counts_(bounds.size() + 1) {}

  void observe(double value, std::int64_t times = 1) noexcept {
    const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    counts_[static_cast<std::size_t>(at)].fetch_add(times, std::memory_order_relaxed);
    sum_.store(sum() + value * static_cast<double>(times), std::memory_order_relaxed);
  }

  [[nodiscard]] std::span<const double> bounds() const { return bounds_; }
  // Of the range that ends at bounds()[i]; i = bounds().size(): of all beyond.
  [[nodiscard]] std::int64_t count(std::size_t i) const {
    return counts_[i].load(std::memory_order_relaxed);
  }
  [[nodiscard]] double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::span<const double> bounds_;
  std::vector<std::atomic<std::int64_t>> counts_;
  std::atomic<double> sum_{0.0};
};

}  // namespace quire::engine
