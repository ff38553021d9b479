#pragma once
// What Python's str can do, on texts that keep their origin. Used by methods and filters.
//
// Pure functions; they charge for what they read and make.

#include <functional>
#include <string_view>
#include <vector>

#include "engine/tokenizer/template/value.h"

namespace quire::engine::jinja {

[[nodiscard]] bool is_space(char32_t c);  // str.isspace()

// Takes characters off the ends: white space, or those of `chars`.
struct Ends {
  bool left = true;
  bool right = true;
};
[[nodiscard]] Text strip(Fuel& fuel, const Text& text, const Text* chars, Ends ends);

// At white space (separator null) or at a separator that is not empty; at most `most` cuts unless
// negative, from the right where asked for.
[[nodiscard]] std::vector<Value> split(Fuel& fuel, const Text& text, const Text* separator,
                                       std::int64_t most, bool from_right);
[[nodiscard]] std::vector<Value> split_lines(Fuel& fuel, const Text& text, bool keep_ends);
// The first `most` occurrences unless negative; an empty `from` is before every character.
[[nodiscard]] Text replace(Fuel& fuel, const Text& text, const Text& from, const Text& to,
                           std::int64_t most);
[[nodiscard]] Text join(Fuel& fuel, const Text& separator, const std::vector<Text>& parts);

enum class LetterCase : std::uint8_t { kUpper, kLower, kTitle, kCapitalize, kSwap };
[[nodiscard]] Text change_case(Fuel& fuel, const Text& text, LetterCase to);
// Jinja's own filter `title`: words end at white space, hyphens and opening brackets.
[[nodiscard]] Text title_words(Fuel& fuel, const Text& text);
// str.isupper() and str.islower().
[[nodiscard]] bool is_upper(Fuel& fuel, const Text& text);
[[nodiscard]] bool is_lower(Fuel& fuel, const Text& text);
// Not empty, and `holds` of every character.
[[nodiscard]] bool every_character(Fuel& fuel, const Text& text,
                                   const std::function<bool(char32_t)>& holds);

}  // namespace quire::engine::jinja
