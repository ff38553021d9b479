#pragma once
// UTF-8 in the small: decoding of valid text, and the repair of text that is not.
//
// Stateless functions and one small value; thread-compatible.
// 1. Repair replaces each maximal subpart of an ill-formed sequence by U+FFFD (Unicode, section
//    3.9), as Rust's from_utf8_lossy and Python's errors="replace" do.
// 2. Utf8Stream gives the same text however its input is cut, and holds back at most 3 bytes.
// Cost: O(bytes), no allocation beyond what the output needs.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace quire::engine {

struct CodePoint {
  char32_t value = 0;
  std::uint32_t length = 0;  // bytes
};

// The first character of `text`, which is valid UTF-8 and not empty.
[[nodiscard]] inline CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto tail = [&](std::size_t i) { return static_cast<char32_t>(byte(i) & 0x3F); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {((lead & 0x1F) << 6) | tail(1), 2};
  if (lead < 0xF0) return {((lead & 0x0F) << 12) | (tail(1) << 6) | tail(2), 3};
  return {((lead & 0x07) << 18) | (tail(1) << 12) | (tail(2) << 6) | tail(3), 4};
}

// The last character of `text`, which is valid UTF-8 and not empty.
[[nodiscard]] CodePoint last_code_point(std::string_view text);

void append_utf8(char32_t code_point, std::string& out);

[[nodiscard]] bool is_valid_utf8(std::string_view text);

// The text with everything ill-formed replaced.
[[nodiscard]] std::string repair_utf8(std::string_view text);

// Repairs a text that arrives in pieces.
class Utf8Stream final {
 public:
  void push(std::string_view bytes, std::string& out);
  // The text ends here: an unfinished character becomes U+FFFD.
  void finish(std::string& out);

 private:
  // How many bytes of the character that begins `pending_` are still missing; 0: between two.
  std::uint8_t num_missing_ = 0;
  std::uint8_t num_pending_ = 0;
  std::array<char, 4> pending_ = {};
};

}  // namespace quire::engine
