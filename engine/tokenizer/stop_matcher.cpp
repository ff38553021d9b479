#include "engine/tokenizer/stop_matcher.h"

#include <algorithm>

#include "proto/check.h"

namespace quire::engine {
namespace {

// failure[k]: the length of the longest proper border of the first k + 1 bytes.
std::vector<std::int32_t> failure_function(const std::string& pattern) {
  std::vector<std::int32_t> failure(pattern.size(), 0);
  for (std::size_t i = 1; i < pattern.size(); ++i) {
    auto border = static_cast<std::size_t>(failure[i - 1]);
    while (border > 0 && pattern[i] != pattern[border])
      border = static_cast<std::size_t>(failure[border - 1]);
    if (pattern[i] == pattern[border]) ++border;
    failure[i] = static_cast<std::int32_t>(border);
  }
  return failure;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops, bool include_stop)
    : stops_(std::move(stops)), matched_(stops_.size(), 0), include_stop_(include_stop) {
  std::size_t longest = 0;
  for (const std::string& stop : stops_) {
    CHECK(!stop.empty());  // the request parser refuses empty ones
    failure_.push_back(failure_function(stop));
    longest = std::max(longest, stop.size());
  }
  held_.reserve(longest);
}

// One byte through the automaton of stop string `index`; whether it completes it.
bool StopMatcher::advance(std::size_t index, char byte) {
  const std::string& stop = stops_[index];
  auto length = static_cast<std::size_t>(matched_[index]);
  while (length > 0 && stop[length] != byte)
    length = static_cast<std::size_t>(failure_[index][length - 1]);
  if (stop[length] == byte) ++length;
  matched_[index] = static_cast<std::int32_t>(length);
  return length == stop.size();
}

// Releases the held bytes but the last `keep`.
void StopMatcher::release(std::size_t keep, std::string& out) {
  const std::size_t count = held_.size() - std::min(keep, held_.size());
  out.append(held_, 0, count);
  held_.erase(0, count);
}

int StopMatcher::push(std::string_view text, std::string& out) {
  if (done_) return -1;
  if (stops_.empty()) {
    out.append(text);
    return -1;
  }
  for (const char byte : text) {
    held_.push_back(byte);
    std::size_t keep = 0;
    int match = -1;
    for (std::size_t i = 0; i < stops_.size(); ++i) {
      const bool complete = advance(i, byte);
      // Of several that end here the longest counts: it begins first.
      if (complete && (match < 0 || stops_[i].size() > stop(match).size()))
        match = static_cast<int>(i);
      keep = std::max(keep, static_cast<std::size_t>(matched_[i]));
    }
    if (match >= 0) {
      done_ = true;
      release(include_stop_ ? 0 : stop(match).size(), out);
      held_.clear();
      return match;
    }
    release(keep, out);
  }
  return -1;
}

void StopMatcher::finish(std::string& out) {
  if (!done_) out.append(held_);
  held_.clear();
  done_ = true;
}

}  // namespace quire::engine
