// The case of letters, by utf8proc's simple mappings and the two full ones that real text has.

#include <utf8proc.h>

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/template/text_operations.h"
#include "engine/tokenizer/utf8.h"

namespace quire::engine::jinja {
namespace {

constexpr char32_t kSharpS = 0xDF;

bool is_upper_letter(char32_t c) { return utf8proc_isupper(static_cast<utf8proc_int32_t>(c)) != 0; }
bool is_lower_letter(char32_t c) { return utf8proc_islower(static_cast<utf8proc_int32_t>(c)) != 0; }
bool is_title_letter(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_LT;
}
bool is_cased(char32_t c) { return is_upper_letter(c) || is_lower_letter(c) || is_title_letter(c); }

std::string upper(char32_t c) {
  if (c == kSharpS) return "SS";
  std::string out;
  append_utf8(static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))), out);
  return out;
}

std::string title(char32_t c) {
  if (c == kSharpS) return "Ss";
  std::string out;
  append_utf8(static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))), out);
  return out;
}

std::string lower(char32_t c) {
  const Lowercase low = to_lowercase(c);
  std::string out;
  append_utf8(low.first, out);
  if (low.second != 0) append_utf8(low.second, out);
  return out;
}

// Calls map(character, is it the first) and puts together what it gives.
template <typename Map>
Text map_characters(Fuel& fuel, const Text& text, Map map) {
  fuel.read(text.size());
  fuel.make(2 * text.size());
  TextBuilder builder;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = first_code_point(text.bytes().substr(at));
    builder.add_like(map(c.value, at == 0), text, at);
    at += c.length;
  }
  return builder.take();
}

bool ends_word(char32_t c) {
  return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
}

// Whether letters are there and all of them are of one case.
bool all_cased(Fuel& fuel, const Text& text, bool (*wanted)(char32_t)) {
  fuel.read(text.size());
  bool any = false;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = first_code_point(text.bytes().substr(at));
    if (is_cased(c.value) && !wanted(c.value)) return false;
    any = any || wanted(c.value);
    at += c.length;
  }
  return any;
}

}  // namespace

Text change_case(Fuel& fuel, const Text& text, LetterCase to) {
  bool in_word = false;
  return map_characters(fuel, text, [&](char32_t c, bool first) {
    switch (to) {
      case LetterCase::kUpper:
        return upper(c);
      case LetterCase::kLower:
        return lower(c);
      case LetterCase::kCapitalize:
        return first ? title(c) : lower(c);
      case LetterCase::kTitle:
        return std::exchange(in_word, is_cased(c)) ? lower(c) : title(c);
      case LetterCase::kSwap:
        return is_upper_letter(c) ? lower(c) : upper(c);
    }
    return std::string();
  });
}

Text title_words(Fuel& fuel, const Text& text) {
  bool in_word = false;
  return map_characters(fuel, text, [&](char32_t c, bool /*first*/) {
    return std::exchange(in_word, !ends_word(c)) ? lower(c) : upper(c);
  });
}

bool is_upper(Fuel& fuel, const Text& text) { return all_cased(fuel, text, is_upper_letter); }
bool is_lower(Fuel& fuel, const Text& text) { return all_cased(fuel, text, is_lower_letter); }

}  // namespace quire::engine::jinja
