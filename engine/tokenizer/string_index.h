#pragma once
// StringIndex: from strings to token ids. All strings lie in one arena, the table is open
// addressing over 8-byte slots: loading a vocabulary of 150,000 words takes milliseconds.
//
// Thread-compatible: built by one thread, then read by any.
// Invariant: a string has one id; entries keep the order in which they were added.
// Cost: find and add O(length), amortised.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/types.h"

namespace quire::engine {

class StringIndex final {
 public:
  struct Entry {
    std::string_view text;
    TokenId id;
  };

  StringIndex();

  // False, and nothing changes, if the string is already there.
  bool add(std::string_view text, TokenId id);
  // The id, or kNoToken.
  [[nodiscard]] TokenId find(std::string_view text) const;

  // The same, but looks first at the entry after `previous`, which becomes the one found: saves the
  // cache misses of a lookup where strings come in the order of the entries.
  [[nodiscard]] TokenId find_after(std::string_view text, std::size_t& previous) const;

  [[nodiscard]] std::size_t size() const { return records_.size(); }
  // Valid until the next add().
  [[nodiscard]] Entry entry(std::size_t index) const;
  // Bytes of the longest string.
  [[nodiscard]] std::size_t max_length() const { return max_length_; }

 private:
  struct Record {
    std::uint32_t offset;
    std::uint32_t length;
    TokenId id;
  };
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t record = kEmpty;
  };
  static constexpr std::uint32_t kEmpty = UINT32_MAX;

  // The slot that holds `text`, or the empty one where it belongs.
  [[nodiscard]] std::size_t locate(std::string_view text, std::uint32_t hash) const;
  void grow();

  std::string arena_;
  std::vector<Record> records_;
  std::vector<Slot> slots_;  // a power of two, at most 5/8 full
  std::size_t max_length_ = 0;
};

}  // namespace quire::engine
