#pragma once
// MergeTable: from a pair of adjacent tokens to the rank of their merge and the token it makes.
// The lower the rank, the earlier the merge.
//
// Thread-compatible: built by one thread, then read by any.
// Invariants: ids and ranks are below 2^21, so that a pair and its rank fit one 64-bit word.
// Cost: find is one or two cache lines.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "proto/types.h"

namespace quire::engine {

using MergeRank = std::uint32_t;
inline constexpr MergeRank kNoMerge = UINT32_MAX;

class MergeTable final {
 public:
  static constexpr int kIdBits = 21;

  MergeTable() : MergeTable(0) {}
  explicit MergeTable(std::size_t num_merges);

  // Merges get ranks 0, 1, 2 in the order in which they are added. The last of two equal pairs
  // counts.
  void add(TokenId left, TokenId right, TokenId merged);

  // The rank, or kNoMerge.
  [[nodiscard]] MergeRank find(TokenId left, TokenId right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t i = hash_of(key);; i = (i + 1) & mask_) {
      const std::uint64_t slot = slots_[i];
      if (slot >> kIdBits == key) return static_cast<MergeRank>(slot & kIdMask);
      if (slot == kEmpty) return kNoMerge;
    }
  }

  [[nodiscard]] TokenId merged(MergeRank rank) const { return merged_[rank]; }
  [[nodiscard]] std::size_t size() const { return merged_.size(); }

 private:
  static constexpr std::uint64_t kIdMask = (std::uint64_t{1} << kIdBits) - 1;
  static constexpr std::uint64_t kEmpty = UINT64_MAX;  // its key has 43 bits: no pair's

  [[nodiscard]] static std::uint64_t key_of(TokenId left, TokenId right) {
    return static_cast<std::uint64_t>(left) << kIdBits | static_cast<std::uint64_t>(right);
  }
  [[nodiscard]] std::size_t hash_of(std::uint64_t key) const {
    return static_cast<std::size_t>((key * 0x9E3779B97F4A7C15u) >> 32) & mask_;
  }

  std::vector<std::uint64_t> slots_;  // key << 21 | rank
  std::vector<TokenId> merged_;       // by rank
  std::size_t mask_ = 0;
};

}  // namespace quire::engine
