#pragma once
// The lexer: a template's source to tokens, with white space as transformers sets jinja2 up:
// trim_blocks (the line break after a block goes), lstrip_blocks (so do the blanks before a block
// that begins a line), one line break at the end goes.
//
// A pure function; throws TemplateError. Cost: one pass over the source.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quire::engine::jinja {

enum class TokenKind : std::uint8_t {
  kData,  // text between the tags
  kBlockBegin,
  kBlockEnd,
  kOutputBegin,
  kOutputEnd,
  kName,
  kString,  // unescaped
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  std::size_t line = 0;
};

// The last token is kEnd.
[[nodiscard]] std::vector<Token> read_tokens(std::string_view source);

// "message (line 12 of the template)".
[[noreturn]] void fail_syntax(const std::string& message, std::size_t line);

}  // namespace quire::engine::jinja
