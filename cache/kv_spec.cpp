#include "cache/kv_spec.h"

#include <algorithm>

namespace quire::cache {

std::int64_t KvCacheSpec::page_bytes() const {
  std::int64_t largest = 0;
  for (const KvGroupSpec& group : groups) {
    largest = std::max(largest, group.num_layers * group.layer_bytes());
  }
  return (largest + kPageAlignment - 1) / kPageAlignment * kPageAlignment;
}

KvCacheSpec KvCacheSpec::with_equal_pages() const {
  KvCacheSpec equal = *this;
  const std::int64_t page = page_bytes();
  for (KvGroupSpec& group : equal.groups) {
    const std::int64_t bytes = group.num_layers * group.layer_bytes();
    for (std::int64_t multiple = 2; multiple * bytes <= page; multiple *= 2) group.block_size *= 2;
  }
  return equal;
}

std::int64_t KvCacheSpec::bytes_per_token() const {
  std::int64_t sum = 0;
  for (const KvGroupSpec& group : groups) sum += group.bytes_per_token();
  return sum;
}

}  // namespace quire::cache
