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

std::int64_t KvCacheSpec::bytes_per_token() const {
  std::int64_t sum = 0;
  for (const KvGroupSpec& group : groups) sum += group.bytes_per_token();
  return sum;
}

}  // namespace quire::cache
