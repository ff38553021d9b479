#pragma once
// StopMatcher: finds the first stop string in a text that arrives in pieces, and holds back what
// may still become one.
//
// Lifetime: one per choice. Not thread-safe.
// 1. The text released before a match, joined, is exactly the full text cut before the earliest
//    ending match (with include: cut after it). Same result however the text is cut into pieces.
//    Of several stop strings that end at the same byte the longest counts.
// 2. At most (longest stop string - 1) bytes are held back; a UTF-8 character is never split if the
//    pieces and the stop strings are whole characters. Stop strings are not empty.
// Cost: O(bytes) amortised (Knuth-Morris-Pratt per stop string; at most 4 of 256 bytes each).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quire::engine {

class StopMatcher final {
 public:
  StopMatcher(std::vector<std::string> stops, bool include_stop);

  // Appends the releasable text to `out`. Returns the index of the stop string that matched, or -1;
  // after a match nothing more is released. Allocates nothing if `out` has room.
  int push(std::string_view text, std::string& out);
  // The text ended without a match: releases what was held back.
  void finish(std::string& out);

  [[nodiscard]] const std::string& stop(int index) const {
    return stops_[static_cast<std::size_t>(index)];
  }

 private:
  [[nodiscard]] bool advance(std::size_t index, char byte);
  void release(std::size_t keep, std::string& out);

  std::vector<std::string> stops_;
  std::vector<std::vector<std::int32_t>> failure_;  // failure function per stop string
  std::vector<std::int32_t> matched_;               // current match length per stop string
  std::string held_;
  bool include_stop_;
  bool done_ = false;
};

}  // namespace quire::engine
