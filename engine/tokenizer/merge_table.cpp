#include "engine/tokenizer/merge_table.h"

#include <bit>

#include "proto/check.h"

namespace quire::engine {

MergeTable::MergeTable(std::size_t num_merges)
    : slots_(std::bit_ceil(num_merges * 2 + 2), kEmpty), mask_(slots_.size() - 1) {
  merged_.reserve(num_merges);
}

void MergeTable::add(TokenId left, TokenId right, TokenId merged) {
  const std::uint64_t rank = merged_.size();
  CHECK(left >= 0 && right >= 0 && left < (1 << kIdBits) && right < (1 << kIdBits));
  CHECK(rank < kIdMask && (rank + 1) * 2 <= slots_.size());
  const std::uint64_t key = key_of(left, right);
  std::size_t i = hash_of(key);
  while (slots_[i] != kEmpty && slots_[i] >> kIdBits != key) i = (i + 1) & mask_;
  slots_[i] = key << kIdBits | rank;
  merged_.push_back(merged);
}

}  // namespace quire::engine
