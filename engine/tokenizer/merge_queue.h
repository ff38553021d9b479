#pragma once
// MergeQueue: the merges that are possible in one long piece, lowest rank first, and within a rank
// leftmost first.
//
// A heap over all of them would cost a cache miss per level for pieces of millions of symbols. But
// the positions of one rank come almost sorted: so each rank has a bucket, a vector that is read
// from the front, and only what comes out of order goes to a small heap beside it. A heap over the
// ranks that have anything says which bucket is next.
//
// Not thread-safe; one per encode() call, reused for its pieces.
// Cost: push and pop O(1) where positions come in order, O(log n) always.

#include <cstdint>
#include <vector>

#include "engine/tokenizer/merge_table.h"

namespace quire::engine {

class MergeQueue final {
 public:
  struct Item {
    MergeRank rank;
    std::uint32_t position;
  };

  // Ranks are below num_ranks.
  explicit MergeQueue(std::size_t num_ranks) : bucket_of_rank_(num_ranks, kNone) {}

  void push(Item item);
  // Takes the first item; false if there is none.
  bool pop(Item& item);

 private:
  struct Bucket {
    std::vector<std::uint32_t> sorted;  // from `next` on, ascending
    std::size_t next = 0;
    std::vector<std::uint32_t> late;  // a min-heap

    [[nodiscard]] bool empty() const { return next == sorted.size() && late.empty(); }
    void push(std::uint32_t position);
    std::uint32_t pop();
    void clear();
  };
  static constexpr std::uint32_t kNone = UINT32_MAX;

  [[nodiscard]] std::uint32_t open_bucket(MergeRank rank);

  std::vector<std::uint32_t> bucket_of_rank_;
  std::vector<Bucket> buckets_;
  std::vector<std::uint32_t> free_buckets_;
  std::vector<MergeRank> ranks_;  // a min-heap of the ranks that have a bucket
};

}  // namespace quire::engine
