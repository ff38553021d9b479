#include "engine/tokenizer/split_pattern.h"

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/utf8.h"

namespace quire::engine {
namespace {

constexpr std::string_view kGpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// A text and how far it has been read.
class Cursor final {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  [[nodiscard]] bool at_end() const { return position_ == text_.size(); }
  [[nodiscard]] std::size_t position() const { return position_; }
  [[nodiscard]] CodePoint peek() const { return first_code_point(text_.substr(position_)); }
  void skip(CodePoint c) { position_ += c.length; }

  // Reads on while characters are of this class; at most `limit` of them.
  void skip_run(CharClass wanted, std::size_t limit = SIZE_MAX) {
    for (; limit > 0 && !at_end(); --limit) {
      const CodePoint c = peek();
      if (char_class(c.value) != wanted) return;
      skip(c);
    }
  }

  void skip_newlines() {
    while (!at_end() && (text_[position_] == '\n' || text_[position_] == '\r')) ++position_;
  }

 private:
  std::string_view text_;
  std::size_t position_ = 0;
};

// 's 't 're 've 'm 'll 'd at the start of `text`: its length, or 0. Ignoring case, U+017F (long s)
// is an s too.
std::size_t contraction(std::string_view text, bool ignore_case) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  if (ignore_case && text.substr(1, 2) == "\xC5\xBF") return 3;
  const auto letter = [&](std::size_t i) -> char {
    if (i >= text.size()) return '\0';
    const char c = text[i];
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  const char second = letter(2);
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  return 0;
}

// \s*[\r\n]+ (where `newlines`), then \s+(?!\S), then \s+: the run of white space up to its last
// newline; else all of it but the last character, which stays for what follows; else all of it.
std::size_t white_space_piece(std::string_view text, bool newlines) {
  Cursor cursor(text);
  std::size_t after_newline = 0;
  std::size_t last_start = 0;
  while (!cursor.at_end()) {
    const CodePoint c = cursor.peek();
    const CharClass kind = char_class(c.value);
    if ((kind & kSpace) == 0) break;
    last_start = cursor.position();
    cursor.skip(c);
    if ((kind & kNewline) != 0) after_newline = cursor.position();
  }
  if (newlines && after_newline > 0) return after_newline;
  if (cursor.at_end() || last_start == 0) return cursor.position();
  return last_start;
}

std::size_t first_gpt2_piece(std::string_view text) {
  if (const std::size_t length = contraction(text, false); length > 0) return length;
  Cursor cursor(text);
  CodePoint c = cursor.peek();
  CharClass kind = char_class(c.value);
  if (c.value == ' ' && text.size() > 1) {
    // " ?" of the next three alternatives.
    cursor.skip(c);
    c = cursor.peek();
    kind = char_class(c.value);
  }
  if ((kind & kSpace) != 0) return white_space_piece(text, false);
  cursor.skip_run(kind);
  return cursor.position();
}

// Llama 3 and Qwen 2 differ in how many digits make a piece.
std::size_t first_cl100k_piece(std::string_view text, std::size_t max_digits) {
  if (const std::size_t length = contraction(text, true); length > 0) return length;
  Cursor cursor(text);
  const CodePoint c = cursor.peek();
  const CharClass kind = char_class(c.value);
  if (kind == kNumber) {
    cursor.skip_run(kNumber, max_digits);
    return cursor.position();
  }
  if (kind == kLetter) {
    cursor.skip_run(kLetter);
    return cursor.position();
  }
  cursor.skip(c);
  const CharClass next = cursor.at_end() ? kSpace : char_class(cursor.peek().value);
  if (next == kLetter && (kind & kNewline) == 0) {
    cursor.skip_run(kLetter);  // [^\r\n\p{L}\p{N}]?\p{L}+
    return cursor.position();
  }
  if (kind == kOther || (c.value == ' ' && next == kOther)) {
    cursor.skip_run(kOther);  // " ?[^\s\p{L}\p{N}]+[\r\n]*"
    cursor.skip_newlines();
    return cursor.position();
  }
  return white_space_piece(text, true);
}

}  // namespace

std::optional<SplitPattern> recognise_split_pattern(std::string_view regex) {
  if (regex == kGpt2Regex) return SplitPattern::kGpt2;
  if (regex == kLlama3Regex) return SplitPattern::kLlama3;
  if (regex == kQwen2Regex) return SplitPattern::kQwen2;
  return std::nullopt;
}

std::size_t first_piece(SplitPattern pattern, std::string_view text) {
  switch (pattern) {
    case SplitPattern::kGpt2:
      return first_gpt2_piece(text);
    case SplitPattern::kLlama3:
      return first_cl100k_piece(text, 3);
    case SplitPattern::kQwen2:
      return first_cl100k_piece(text, 1);
  }
  return text.size();
}

}  // namespace quire::engine
