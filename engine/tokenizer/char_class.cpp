#include "engine/tokenizer/char_class.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace quire::engine {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Letters and numbers that came with Unicode 15.1 and 16.0, after utf8proc 2.8.
constexpr Range kNewLetters[] = {
    {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
    {0x10D4A, 0x10D65}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389},
    {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113B7},
    {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0}, {0x13460, 0x143FA},
    {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D},
};
constexpr Range kNewNumbers[] = {
    {0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9}, {0x16130, 0x16139},
    {0x16D70, 0x16D79}, {0x1CCF0, 0x1CCF9}, {0x1E5F1, 0x1E5FA},
};
// Symbols (So) that are alphabetic all the same: circled and squared letters.
constexpr Range kAlphabeticSymbols[] = {
    {0x24B6, 0x24E9}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};

template <std::size_t N>
bool contains(const Range (&ranges)[N], char32_t code_point) {
  const auto* after =
      std::upper_bound(std::begin(ranges), std::end(ranges), code_point,
                       [](char32_t value, const Range& range) { return value < range.first; });
  return after != std::begin(ranges) && code_point <= std::prev(after)->last;
}

utf8proc_category_t category(char32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

bool is_letter(utf8proc_category_t kind) {
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_number(utf8proc_category_t kind) {
  return kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO;
}

CharClass class_from_tables(char32_t code_point) {
  if (code_point == '\n' || code_point == '\r') return kSpace | kNewline;
  if (is_white_space(code_point)) return kSpace;
  const utf8proc_category_t kind = category(code_point);
  if (is_letter(kind)) return kLetter;
  if (is_number(kind)) return kNumber;
  if (kind == UTF8PROC_CATEGORY_CN) {
    if (contains(kNewLetters, code_point)) return kLetter;
    if (contains(kNewNumbers, code_point)) return kNumber;
  }
  return kOther;
}

// Characters below U+3400 in a flat table: all alphabets, and the path that must be fast.
constexpr std::size_t kNumFlat = 0x3400;
const std::array<CharClass, kNumFlat>& flat_classes() {
  static const std::array<CharClass, kNumFlat> classes = [] {
    std::array<CharClass, kNumFlat> table = {};
    for (std::size_t i = 0; i < kNumFlat; ++i)
      table[i] = class_from_tables(static_cast<char32_t>(i));
    return table;
  }();
  return classes;
}

}  // namespace

CharClass char_class(char32_t code_point) {
  if (code_point < kNumFlat) return flat_classes()[code_point];
  return class_from_tables(code_point);
}

bool is_white_space(char32_t code_point) {
  if (code_point < 0x80) return code_point == ' ' || (code_point >= 0x09 && code_point <= 0x0D);
  if (code_point >= 0x2000 && code_point <= 0x200A) return true;
  switch (code_point) {
    case 0x0085:
    case 0x00A0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000:
      return true;
    default:
      return false;
  }
}

bool is_word_character(char32_t code_point) {
  const utf8proc_category_t kind = category(code_point);
  if (is_letter(kind) || (kind >= UTF8PROC_CATEGORY_MN && kind <= UTF8PROC_CATEGORY_ME))
    return true;
  if (kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL) return true;
  if (kind == UTF8PROC_CATEGORY_PC) return true;
  if (code_point == 0x200C || code_point == 0x200D) return true;
  return contains(kAlphabeticSymbols, code_point) || contains(kNewLetters, code_point);
}

Lowercase to_lowercase(char32_t code_point) {
  if (code_point == 0x130) return {'i', 0x307};
  const auto lower = static_cast<char32_t>(utf8proc_tolower(static_cast<int>(code_point)));
  if (lower != code_point || code_point < 0x1C89) return {lower, 0};
  // Pairs that came after Unicode 15.
  switch (code_point) {
    case 0x1C89:
    case 0xA7CC:
    case 0xA7CE:
    case 0xA7D2:
    case 0xA7D4:
    case 0xA7DA:
      return {code_point + 1, 0};
    case 0xA7CB:
      return {0x264, 0};
    case 0xA7DC:
      return {0x19B, 0};
    default:
      break;
  }
  if (code_point >= 0x10D50 && code_point <= 0x10D65) return {code_point + 0x20, 0};
  if (code_point >= 0x16EA0 && code_point <= 0x16EB8) return {code_point + 0x1B, 0};
  return {code_point, 0};
}

}  // namespace quire::engine
