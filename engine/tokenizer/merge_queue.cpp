#include "engine/tokenizer/merge_queue.h"

#include <algorithm>
#include <functional>

namespace quire::engine {
namespace {

// A drained bucket keeps at most this much room for the next piece.
constexpr std::size_t kMaxKeptCapacity = 1024;

}  // namespace

void MergeQueue::Bucket::push(std::uint32_t position) {
  if (next == sorted.size() || sorted.back() <= position) {
    sorted.push_back(position);
    return;
  }
  late.push_back(position);
  std::push_heap(late.begin(), late.end(), std::greater<>());
}

std::uint32_t MergeQueue::Bucket::pop() {
  if (late.empty() || (next < sorted.size() && sorted[next] <= late.front())) return sorted[next++];
  std::pop_heap(late.begin(), late.end(), std::greater<>());
  const std::uint32_t position = late.back();
  late.pop_back();
  return position;
}

void MergeQueue::Bucket::clear() {
  next = 0;
  sorted.clear();
  if (sorted.capacity() > kMaxKeptCapacity) std::vector<std::uint32_t>().swap(sorted);
  if (late.capacity() > kMaxKeptCapacity) std::vector<std::uint32_t>().swap(late);
}

std::uint32_t MergeQueue::open_bucket(MergeRank rank) {
  std::uint32_t index = 0;
  if (free_buckets_.empty()) {
    index = static_cast<std::uint32_t>(buckets_.size());
    buckets_.emplace_back();
  } else {
    index = free_buckets_.back();
    free_buckets_.pop_back();
  }
  bucket_of_rank_[rank] = index;
  ranks_.push_back(rank);
  std::push_heap(ranks_.begin(), ranks_.end(), std::greater<>());
  return index;
}

void MergeQueue::push(Item item) {
  std::uint32_t index = bucket_of_rank_[item.rank];
  if (index == kNone) index = open_bucket(item.rank);
  buckets_[index].push(item.position);
}

bool MergeQueue::pop(Item& item) {
  if (ranks_.empty()) return false;
  item.rank = ranks_.front();
  const std::uint32_t index = bucket_of_rank_[item.rank];
  Bucket& bucket = buckets_[index];
  item.position = bucket.pop();
  if (bucket.empty()) {
    bucket.clear();
    free_buckets_.push_back(index);
    bucket_of_rank_[item.rank] = kNone;
    std::pop_heap(ranks_.begin(), ranks_.end(), std::greater<>());
    ranks_.pop_back();
  }
  return true;
}

}  // namespace quire::engine
