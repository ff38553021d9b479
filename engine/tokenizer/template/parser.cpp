#include "engine/tokenizer/template/parser.h"

#include <algorithm>
#include <initializer_list>

#include "engine/tokenizer/template/token_reader.h"

namespace quire::engine::jinja {
namespace {

class Parser final {
 public:
  explicit Parser(std::string_view source) : in_(read_tokens(source)), expressions_(in_) {}

  Block run() {
    Block block = statements({});
    if (!in_.is(TokenKind::kEnd)) in_.fail("A tag does not belong here");
    return block;
  }

 private:
  using Names = std::initializer_list<std::string_view>;

  Block statements(Names ends);
  Block body(Names ends);
  Block body_to(std::string_view end);
  void statement(Block& block);
  IfStatement parse_if();
  ForStatement parse_for();
  void parse_set(Block& block);
  MacroStatement parse_macro();
  void macro_body(MacroStatement& node, std::string_view end);
  CallStatement parse_call();
  FilterStatement parse_filter();
  ScopeStatement parse_with();
  ScopeStatement parse_generation();
  LoopControl parse_control(bool ends_loop);
  Target target(bool with_attribute);
  Target single_target(bool with_attribute);
  std::string assigned_name();
  std::vector<Parameter> parameters();

  TokenReader in_;
  ExpressionParser expressions_;
  int loops_ = 0;  // that break would end
};

// Statements until the end of the source, or a block tag with one of these names, whose name is
// then current.
Block Parser::statements(Names ends) {
  const TokenReader::Level level(in_);
  Block block;
  while (!in_.is(TokenKind::kEnd)) {
    if (in_.is(TokenKind::kData)) {
      Text text(in_.current().text, TextOrigin::kTemplate);
      block.push_back({DataStatement{std::move(text)}});
      in_.advance();
    } else if (in_.is(TokenKind::kOutputBegin)) {
      in_.advance();
      block.push_back({OutputStatement{expressions_.tuple()}});
      in_.expect(TokenKind::kOutputEnd);
    } else {
      in_.expect(TokenKind::kBlockBegin);
      if (in_.is(TokenKind::kName) &&
          std::find(ends.begin(), ends.end(), in_.current().text) != ends.end()) {
        return block;
      }
      statement(block);
    }
  }
  if (ends.size() > 0) in_.fail("A block does not end");
  return block;
}

// The rest of a block tag, and what it holds.
Block Parser::body(Names ends) {
  in_.expect(TokenKind::kBlockEnd);
  return statements(ends);
}

Block Parser::body_to(std::string_view end) {
  Block block = body({end});
  in_.advance();
  in_.expect(TokenKind::kBlockEnd);
  return block;
}

void Parser::statement(Block& block) {
  const std::string name = in_.expect_name();
  if (name == "if") {
    block.push_back({parse_if()});
  } else if (name == "for") {
    block.push_back({parse_for()});
  } else if (name == "set") {
    parse_set(block);
  } else if (name == "macro") {
    block.push_back({parse_macro()});
  } else if (name == "call") {
    block.push_back({parse_call()});
  } else if (name == "filter") {
    block.push_back({parse_filter()});
  } else if (name == "with") {
    block.push_back({parse_with()});
  } else if (name == "generation") {
    block.push_back({parse_generation()});
  } else if (name == "break" || name == "continue") {
    block.push_back({parse_control(name == "break")});
  } else if (name == "print") {
    block.push_back({OutputStatement{expressions_.tuple()}});
    in_.expect(TokenKind::kBlockEnd);
  } else {
    in_.fail("There is no such tag");
  }
}

IfStatement Parser::parse_if() {
  IfStatement node;
  do {
    ExpressionPtr condition = expressions_.tuple(false);
    node.branches.push_back({std::move(condition), body({"elif", "else", "endif"})});
  } while (in_.take_name("elif"));
  if (in_.take_name("else")) node.otherwise = body({"endif"});
  in_.advance();
  in_.expect(TokenKind::kBlockEnd);
  return node;
}

ForStatement Parser::parse_for() {
  ForStatement node;
  node.target = target(false);
  if (!in_.take_name("in")) in_.fail("Expected in");
  node.list = expressions_.tuple(false);
  if (in_.take_name("if")) node.condition = expressions_.expression();
  node.recursive = in_.take_name("recursive");
  ++loops_;
  node.body = body({"else", "endfor"});
  --loops_;
  if (in_.take_name("else")) node.otherwise = body({"endfor"});
  in_.advance();
  in_.expect(TokenKind::kBlockEnd);
  return node;
}

void Parser::parse_set(Block& block) {
  Target to = target(true);
  if (in_.take_operator("=")) {
    block.push_back({SetStatement{std::move(to), expressions_.tuple()}});
    in_.expect(TokenKind::kBlockEnd);
    return;
  }
  SetBlockStatement node;
  node.target = std::move(to);
  if (in_.take_operator("|")) node.filters = expressions_.filters();
  node.body = body_to("endset");
  block.push_back({std::move(node)});
}

void Parser::macro_body(MacroStatement& node, std::string_view end) {
  const int outside = std::exchange(loops_, 0);
  const std::size_t begin = in_.position();
  node.body = body_to(end);
  loops_ = outside;
  node.takes_varargs = in_.names_since(begin, "varargs");
  node.takes_kwargs = in_.names_since(begin, "kwargs");
  node.takes_caller = in_.names_since(begin, "caller");
}

MacroStatement Parser::parse_macro() {
  MacroStatement node;
  node.name = assigned_name();
  in_.expect_operator("(");
  node.parameters = parameters();
  macro_body(node, "endmacro");
  return node;
}

CallStatement Parser::parse_call() {
  CallStatement node;
  node.caller.name = "caller";
  if (in_.take_operator("(")) node.caller.parameters = parameters();
  node.call = expressions_.expression();
  const auto* postfix = std::get_if<PostfixNode>(&node.call->node);
  if (postfix == nullptr || !std::holds_alternative<CallStep>(postfix->steps.back())) {
    in_.fail("Expected a call");
  }
  macro_body(node.caller, "endcall");
  return node;
}

FilterStatement Parser::parse_filter() {
  FilterStatement node;
  node.filters = expressions_.filters();
  node.body = body_to("endfilter");
  return node;
}

ScopeStatement Parser::parse_with() {
  ScopeStatement node;
  while (!in_.is(TokenKind::kBlockEnd)) {
    if (!node.names.empty()) in_.expect_operator(",");
    Target to = target(false);
    in_.expect_operator("=");
    node.names.emplace_back(std::move(to), expressions_.expression());
  }
  node.body = body_to("endwith");
  return node;
}

// The assistant's part, which trainers mark: here a block like any other.
ScopeStatement Parser::parse_generation() {
  ScopeStatement node;
  const int outside = std::exchange(loops_, 0);
  node.body = body_to("endgeneration");
  loops_ = outside;
  return node;
}

LoopControl Parser::parse_control(bool ends_loop) {
  if (loops_ == 0) in_.fail("There is no loop here");
  in_.expect(TokenKind::kBlockEnd);
  return {ends_loop};
}

std::string Parser::assigned_name() {
  static constexpr std::string_view kConstants[] = {"true", "false", "none",
                                                    "True", "False", "None"};
  std::string name = in_.expect_name();
  if (std::ranges::find(kConstants, name) != std::end(kConstants)) {
    in_.fail("This name cannot be assigned to");
  }
  return name;
}

Target Parser::single_target(bool with_attribute) {
  const TokenReader::Level level(in_);
  if (in_.take_operator("(")) {
    Target inner = target(false);
    in_.expect_operator(")");
    return inner;
  }
  Target one{.name = assigned_name(), .attribute = {}, .parts = {}};
  if (with_attribute && in_.take_operator(".")) one.attribute = in_.expect_name();
  return one;
}

Target Parser::target(bool with_attribute) {
  Target first = single_target(with_attribute);
  if (!in_.is_operator(",")) return first;
  Target all;
  all.parts.push_back(std::move(first));
  while (in_.take_operator(",")) {
    if (in_.is_operator("=") || in_.is_name("in") || in_.is_operator(")")) break;
    all.parts.push_back(single_target(with_attribute));
  }
  return all;
}

// After the opening parenthesis.
std::vector<Parameter> Parser::parameters() {
  std::vector<Parameter> all;
  while (!in_.take_operator(")")) {
    if (!all.empty()) {
      in_.expect_operator(",");
      if (in_.take_operator(")")) break;
    }
    Parameter parameter{.name = assigned_name(), .fallback = {}};
    if (in_.take_operator("=")) {
      parameter.fallback = expressions_.expression();
    } else if (!all.empty() && all.back().fallback) {
      in_.fail("A parameter without a default follows one with a default");
    }
    all.push_back(std::move(parameter));
  }
  return all;
}

}  // namespace

Block parse_template(std::string_view source) { return Parser(source).run(); }

}  // namespace quire::engine::jinja
