#include "engine/tokenizer/template/lexer.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "engine/tokenizer/template/fuel.h"
#include "engine/tokenizer/utf8.h"

namespace quire::engine::jinja {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Line breaks become \n, and the last one goes.
std::string normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer final {
 public:
  explicit Lexer(std::string_view source) : source_(normalize(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_data();
    emit(TokenKind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] std::string_view rest() const { return std::string_view(source_).substr(at_); }
  [[nodiscard]] bool next_is(std::string_view text) const { return rest().starts_with(text); }

  void emit(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  // Moves to `end` and remembers whether a line begins there.
  void move_to(std::size_t end) {
    line_ += static_cast<std::size_t>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                                 source_.begin() + static_cast<std::ptrdiff_t>(end),
                                                 '\n'));
    if (end > at_) line_begins_ = source_[end - 1] == '\n';
    at_ = end;
  }

  void read_data();
  void add_data(std::size_t end, char sign, bool strips_line);
  void skip_comment();
  [[nodiscard]] std::optional<std::size_t> raw_block_end() const;
  void read_raw(std::size_t begin);
  void read_code(bool block);
  [[nodiscard]] std::optional<std::size_t> end_tag(std::string_view close) const;
  void read_code_token();
  void read_number();
  void read_string();
  void read_operator();
  void balance(char c);
  [[nodiscard]] std::size_t skip_blanks(std::size_t from) const {
    while (from < source_.size() && is_blank(source_[from])) ++from;
    return from;
  }

  const std::string source_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  bool line_begins_ = true;  // what was consumed ends a line
  std::string open_;         // brackets within the tag
  std::vector<Token> tokens_;
};

// The text up to a tag, without what the tag's sign and place take away.
void Lexer::add_data(std::size_t end, char sign, bool strips_line) {
  std::string_view text = std::string_view(source_).substr(at_, end - at_);
  if (sign == '-') {
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  } else if (sign != '+' && strips_line) {
    const std::size_t begin = text.rfind('\n') + 1;  // npos + 1 is 0
    const bool only_blanks =
        std::all_of(text.begin() + static_cast<std::ptrdiff_t>(begin), text.end(), is_blank);
    if ((begin > 0 || line_begins_) && only_blanks) text = text.substr(0, begin);
  }
  if (!text.empty()) emit(TokenKind::kData, std::string(text));
}

void Lexer::read_data() {
  std::size_t tag = source_.find('{', at_);
  while (tag != std::string::npos && tag + 1 < source_.size() &&
         std::string_view("{%#").find(source_[tag + 1]) == std::string_view::npos) {
    tag = source_.find('{', tag + 1);
  }
  if (tag == std::string::npos || tag + 1 >= source_.size()) {
    emit(TokenKind::kData, std::string(rest()));
    return move_to(source_.size());
  }
  const char type = source_[tag + 1];
  const char mark = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
  const char sign = mark == '-' || mark == '+' ? mark : ' ';
  add_data(tag, sign, type != '{');
  move_to(tag + (sign == ' ' ? 2 : 3));
  if (type == '#') return skip_comment();
  if (type == '%') {
    if (const auto raw = raw_block_end()) return read_raw(*raw);
  }
  read_code(type == '%');
}

void Lexer::skip_comment() {
  const std::size_t close = source_.find("#}", at_);
  if (close == std::string::npos) fail_syntax("A comment does not end", line_);
  std::size_t end = close + 2;
  const char sign = close > at_ ? source_[close - 1] : ' ';
  if (sign == '-') {
    end = skip_blanks(end);
  } else if (sign != '+' && end < source_.size() && source_[end] == '\n') {
    ++end;
  }
  move_to(end);
}

// After "{%": where the contents of a raw block begin, if it is one.
std::optional<std::size_t> Lexer::raw_block_end() const {
  std::size_t at = skip_blanks(at_);
  if (!std::string_view(source_).substr(at).starts_with("raw")) return std::nullopt;
  at = skip_blanks(at + 3);
  const std::string_view rest = std::string_view(source_).substr(at);
  if (rest.starts_with("-%}")) return skip_blanks(at + 3);
  if (rest.starts_with("%}")) return at + 2;
  return std::nullopt;
}

void Lexer::read_raw(std::size_t begin) {
  move_to(begin);
  for (std::size_t tag = source_.find("{%", at_); tag != std::string::npos;
       tag = source_.find("{%", tag + 2)) {
    std::size_t at = tag + 2;
    char sign = ' ';
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) sign = source_[at++];
    at = skip_blanks(at);
    if (!std::string_view(source_).substr(at).starts_with("endraw")) continue;
    at = skip_blanks(at + 6);
    const std::string_view rest = std::string_view(source_).substr(at);
    const bool signed_end = rest.starts_with("-%}") || rest.starts_with("+%}");
    if (!signed_end && !rest.starts_with("%}")) continue;
    add_data(tag, sign, true);
    std::size_t end = at + (signed_end ? 3 : 2);
    if (rest.front() == '-') end = skip_blanks(end);
    if (rest.front() == '%' && end < source_.size() && source_[end] == '\n') ++end;
    return move_to(end);
  }
  fail_syntax("A raw block does not end", line_);
}

// Where the tag ends, if it ends here.
std::optional<std::size_t> Lexer::end_tag(std::string_view close) const {
  const bool block = close == "%}";
  if (next_is("-") && rest().substr(1).starts_with(close)) return skip_blanks(at_ + 3);
  if (block && next_is("+%}")) return at_ + 3;
  if (!next_is(close)) return std::nullopt;
  const std::size_t end = at_ + 2;
  return block && end < source_.size() && source_[end] == '\n' ? end + 1 : end;
}

void Lexer::read_code(bool block) {
  emit(block ? TokenKind::kBlockBegin : TokenKind::kOutputBegin, {});
  open_.clear();
  while (true) {
    move_to(skip_blanks(at_));
    if (at_ >= source_.size()) fail_syntax("A tag does not end", line_);
    if (open_.empty()) {
      if (const auto end = end_tag(block ? "%}" : "}}")) {
        emit(block ? TokenKind::kBlockEnd : TokenKind::kOutputEnd, {});
        return move_to(*end);
      }
    }
    read_code_token();
  }
}

void Lexer::read_code_token() {
  const char c = source_[at_];
  if (is_digit(c)) return read_number();
  if (c == '"' || c == '\'') return read_string();
  if (!is_name_start(c)) return read_operator();
  std::size_t end = at_;
  while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) ++end;
  emit(TokenKind::kName, source_.substr(at_, end - at_));
  move_to(end);
}

void Lexer::read_number() {
  std::size_t end = at_;
  const auto skip_digits = [&] {
    while (end < source_.size() &&
           (is_digit(source_[end]) ||
            (source_[end] == '_' && end + 1 < source_.size() && is_digit(source_[end + 1])))) {
      ++end;
    }
  };
  const auto digit_at = [&](std::size_t i) { return i < source_.size() && is_digit(source_[i]); };
  skip_digits();
  bool is_float = false;
  if (end < source_.size() && source_[end] == '.' && digit_at(end + 1)) {
    is_float = true;
    ++end;
    skip_digits();
  }
  if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
    const bool sign =
        end + 1 < source_.size() && (source_[end + 1] == '-' || source_[end + 1] == '+');
    if (digit_at(end + (sign ? 2 : 1))) {
      is_float = true;
      end += sign ? 2 : 1;
      skip_digits();
    }
  }
  std::string text = source_.substr(at_, end - at_);
  std::erase(text, '_');
  if (!is_float && text.size() > 1 && text.find_first_not_of('0') != std::string::npos &&
      text[0] == '0') {
    fail_syntax("A number begins with 0", line_);
  }
  emit(is_float ? TokenKind::kFloat : TokenKind::kInteger, std::move(text));
  move_to(end);
}

// One escape of a string, as in Python; `at` stands behind the backslash and is moved.
void unescape(std::string_view text, std::size_t& at, std::string& out, std::size_t line) {
  static constexpr std::string_view kFrom = "ntrabfv\\'\"";
  static constexpr std::string_view kTo = "\n\t\r\a\b\f\v\\'\"";
  const char c = text[at++];
  if (const std::size_t simple = kFrom.find(c); simple != std::string_view::npos) {
    out += kTo[simple];
    return;
  }
  if (c == '\n') return;
  std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  int base = 16;
  if (c >= '0' && c <= '7') {
    --at;
    base = 8;
    for (digits = 0; digits < 3 && at + digits < text.size() && text[at + digits] >= '0' &&
                     text[at + digits] <= '7';) {
      ++digits;
    }
  }
  if (digits == 0) {  // no escape at all
    out += '\\';
    out += c;
    return;
  }
  std::uint32_t code = 0;
  const std::string_view number = text.substr(at, digits);
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), code, base);
  const bool whole = number.size() == digits && end == number.data() + number.size();
  if (error != std::errc{} || !whole || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
    fail_syntax("A string has a bad escape", line);
  }
  append_utf8(static_cast<char32_t>(code), out);
  at += digits;
}

void Lexer::read_string() {
  const char quote = source_[at_];
  std::string text;
  std::size_t at = at_ + 1;
  while (at < source_.size() && source_[at] != quote) {
    if (source_[at] != '\\') {
      text += source_[at++];
    } else if (++at < source_.size()) {
      unescape(source_, at, text, line_);
    }
  }
  if (at >= source_.size()) fail_syntax("A string does not end", line_);
  emit(TokenKind::kString, std::move(text));
  move_to(at + 1);
}

// Brackets must match, and a tag ends only outside them.
void Lexer::balance(char c) {
  static constexpr std::string_view kOpen = "([{";
  static constexpr std::string_view kClose = ")]}";
  if (kOpen.find(c) != std::string_view::npos) {
    open_ += c;
  } else if (const std::size_t i = kClose.find(c); i != std::string_view::npos) {
    if (open_.empty() || open_.back() != kOpen[i]) fail_syntax("A bracket does not match", line_);
    open_.pop_back();
  }
}

void Lexer::read_operator() {
  static constexpr std::string_view kOperators[] = {
      "==", "!=", ">=", "<=", "//", "**", "+", "-", "*", "/", "%", "~", ">",
      "<",  "=",  "(",  ")",  "[",  "]",  "{", "}", ".", ":", "|", ",", ";"};
  for (const std::string_view op : kOperators) {
    if (!next_is(op)) continue;
    balance(op.front());
    emit(TokenKind::kOperator, std::string(op));
    return move_to(at_ + op.size());
  }
  fail_syntax("A character does not belong here", line_);
}

}  // namespace

void fail_syntax(const std::string& message, std::size_t line) {
  throw TemplateError(TemplateError::Kind::kSyntax,
                      message + " (line " + std::to_string(line) + " of the template).");
}

std::vector<Token> read_tokens(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) fail_syntax("The template is too long", 1);
  if (!is_valid_utf8(source)) fail_syntax("The template is not valid UTF-8", 1);
  return Lexer(source).run();
}

}  // namespace quire::engine::jinja
