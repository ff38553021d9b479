#pragma once
// UTF-8 as Unicode table 3-7 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
// Pure functions; any thread. Cost: linear in the bytes looked at.

#include <cstddef>
#include <string_view>

namespace quire::proto {

// Bytes of the well-formed character at the front of `text`: 1 to 4, or 0 where there is none
// (ill-formed, cut short, or empty).
[[nodiscard]] std::size_t utf8_front(std::string_view text);

// The longest beginning of at most `max_bytes` that ends at the end of a character. Text that is no
// UTF-8 is cut within 3 bytes of that.
[[nodiscard]] std::string_view utf8_prefix(std::string_view text, std::size_t max_bytes);

[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace quire::proto
