#pragma once
// What a character is, as the split patterns of tokenizers see it: \p{L}, \p{N} and \s.
//
// Pure functions over constant tables; any thread.
// 1. The classes are those of Unicode 16, which the `tokenizers` package has: utf8proc's (Unicode
//    15) with the additions since.

#include <cstdint>

namespace quire::engine {

// Exactly one of kLetter, kNumber, kSpace, kOther; kNewline is a kSpace as well.
using CharClass = std::uint8_t;
inline constexpr CharClass kOther = 0;
inline constexpr CharClass kLetter = 1;
inline constexpr CharClass kNumber = 2;
inline constexpr CharClass kSpace = 4;
inline constexpr CharClass kNewline = 8;  // \r and \n

[[nodiscard]] CharClass char_class(char32_t code_point);

// White_Space of Unicode: what \s means in Oniguruma and in Rust.
[[nodiscard]] bool is_white_space(char32_t code_point);

// \w as Unicode's technical standard 18 has it: alphabetic, mark, decimal digit, connector, joiner.
[[nodiscard]] bool is_word_character(char32_t code_point);

// Unicode's full lower case of one character without context: one or two characters.
struct Lowercase {
  char32_t first;
  char32_t second;  // 0: none
};
[[nodiscard]] Lowercase to_lowercase(char32_t code_point);

}  // namespace quire::engine
