#pragma once
// TokenReader: the tokens of a template as the parsers go through them, with the depth at which
// they are. ExpressionParser: one expression out of them.
//
// Both live for one parse. 1. current() is valid always: after the last token comes kEnd for ever.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/template/lexer.h"
#include "engine/tokenizer/template/syntax.h"

namespace quire::engine::jinja {

class TokenReader final {
 public:
  explicit TokenReader(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  [[nodiscard]] const Token& current() const { return tokens_[at_]; }
  [[nodiscard]] const Token& next() const {
    return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_];
  }
  void advance() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }
  [[nodiscard]] bool is(TokenKind kind) const { return current().kind == kind; }
  [[nodiscard]] bool is_operator(std::string_view op) const {
    return is(TokenKind::kOperator) && current().text == op;
  }
  [[nodiscard]] bool is_name(std::string_view name) const {
    return is(TokenKind::kName) && current().text == name;
  }
  // Goes on behind the token if it is this one.
  bool take_operator(std::string_view op);
  bool take_name(std::string_view name);
  void expect_operator(std::string_view op);
  void expect(TokenKind kind);
  [[nodiscard]] std::string expect_name();
  [[noreturn]] void fail(const std::string& message) const { fail_syntax(message, current().line); }

  // Whether the tokens from `begin` to the current one have this name.
  [[nodiscard]] std::size_t position() const { return at_; }
  [[nodiscard]] bool names_since(std::size_t begin, std::string_view name) const;

  // One level of nesting while it lives.
  class Level final {
   public:
    explicit Level(TokenReader& reader) : reader_(reader) {
      if (++reader_.depth_ > kMaxSyntaxDepth) reader_.fail("The template is nested too deep");
    }
    ~Level() { --reader_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    TokenReader& reader_;
  };

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

class ExpressionParser final {
 public:
  explicit ExpressionParser(TokenReader& in) : in_(in) {}

  // With `a if b else c`; without it where a loop's own `if` follows.
  ExpressionPtr expression(bool with_conditional = true);
  // An expression, or several with commas between, which make a tuple.
  ExpressionPtr tuple(bool with_conditional = true);
  // "name(args)|name|name(args)", without the first pipe.
  std::vector<FilterStep> filters();

 private:
  ExpressionPtr any_of();
  ExpressionPtr all_of();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr chain(int level);
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr literal();
  ExpressionPtr list();
  ExpressionPtr map();
  ExpressionPtr parenthesis();
  void postfix(std::vector<Step>& steps);
  void filters_and_tests(std::vector<Step>& steps);
  Step subscript();
  FilterStep filter();
  TestStep test();
  Arguments arguments();
  [[nodiscard]] bool begins_argument() const;

  TokenReader& in_;
};

}  // namespace quire::engine::jinja
