#include "tests/bench/lru_model.h"

#include <algorithm>
#include <limits>
#include <list>
#include <set>
#include <tuple>
#include <unordered_map>

namespace quire::bench {

std::int64_t lru_hits(const Requests& requests, std::size_t capacity) {
  std::list<std::int32_t> order;  // least recently used first
  std::unordered_map<std::int32_t, std::list<std::int32_t>::iterator> places;
  std::int64_t hits = 0;
  for (const auto& request : requests) {
    for (const std::int32_t id : request) {
      if (!places.contains(id)) break;
      ++hits;
    }
    for (auto id = request.rbegin(); id != request.rend(); ++id) {
      if (const auto place = places.find(*id); place != places.end()) order.erase(place->second);
      places[*id] = order.insert(order.end(), *id);
    }
    for (; order.size() > capacity; order.pop_front()) places.erase(order.front());
  }
  return hits;
}

namespace {

constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

// [request][i]: the next request that uses the same block, or kNever.
std::vector<std::vector<std::size_t>> next_uses(const Requests& requests) {
  std::vector<std::vector<std::size_t>> next(requests.size());
  std::unordered_map<std::int32_t, std::size_t> seen;
  for (std::size_t r = requests.size(); r-- > 0;) {
    for (const std::int32_t id : requests[r]) {
      const auto it = seen.find(id);
      next[r].push_back(it == seen.end() ? kNever : it->second);
    }
    for (const std::int32_t id : requests[r]) seen[id] = r;
  }
  return next;
}

}  // namespace

std::int64_t belady_hits(const Requests& requests, std::size_t capacity) {
  // (next use, depth, id): a parent's next use is never later than its child's, so what goes first
  // is a leaf.
  using Key = std::tuple<std::size_t, std::size_t, std::int32_t>;
  const auto next = next_uses(requests);
  std::set<Key> order;
  std::unordered_map<std::int32_t, Key> kept;
  std::int64_t hits = 0;
  for (std::size_t r = 0; r < requests.size(); ++r) {
    bool whole = true;
    for (std::size_t i = 0; i < requests[r].size(); ++i) {
      const std::int32_t id = requests[r][i];
      const auto it = kept.find(id);
      whole = whole && it != kept.end();
      if (whole) ++hits;
      if (it != kept.end()) order.erase(it->second);
      const Key key{next[r][i], i, id};
      kept[id] = key;
      order.insert(key);
    }
    while (!order.empty() && (order.size() > capacity || std::get<0>(*order.rbegin()) == kNever)) {
      kept.erase(std::get<2>(*order.rbegin()));
      order.erase(std::prev(order.end()));
    }
  }
  return hits;
}

}  // namespace quire::bench
