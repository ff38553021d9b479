#include <charconv>
#include <optional>

#include "engine/tokenizer/template/token_reader.h"

namespace quire::engine::jinja {
namespace {

template <typename Node>
ExpressionPtr make(Node node) {
  return std::make_unique<Expression>(Expression{std::move(node)});
}

ExpressionPtr with_steps(ExpressionPtr base, std::vector<Step> steps) {
  if (steps.empty()) return base;
  return make(PostfixNode{std::move(base), std::move(steps)});
}

struct Spelling {
  std::string_view text;
  Operator op;
};

constexpr Spelling kComparisons[] = {
    {"==", Operator::kEqual},       {"!=", Operator::kNotEqual}, {"<", Operator::kLess},
    {"<=", Operator::kLessOrEqual}, {">", Operator::kGreater},   {">=", Operator::kGreaterOrEqual},
};

// Each level binds tighter than the one before.
constexpr int kNumLevels = 4;
constexpr Spelling kSums[] = {{"+", Operator::kAdd}, {"-", Operator::kSubtract}};
constexpr Spelling kConcatenations[] = {{"~", Operator::kConcatenate}};
constexpr Spelling kProducts[] = {{"*", Operator::kMultiply},
                                  {"/", Operator::kDivide},
                                  {"//", Operator::kFloorDivide},
                                  {"%", Operator::kModulo}};
constexpr Spelling kPowers[] = {{"**", Operator::kPower}};
constexpr std::span<const Spelling> kLevels[kNumLevels] = {kSums, kConcatenations, kProducts,
                                                           kPowers};

std::optional<Operator> take_one_of(TokenReader& in, std::span<const Spelling> spellings) {
  for (const Spelling& spelling : spellings) {
    if (in.take_operator(spelling.text)) return spelling.op;
  }
  return std::nullopt;
}

std::optional<Operator> take_comparison(TokenReader& in) {
  if (const auto op = take_one_of(in, kComparisons)) return op;
  if (in.take_name("in")) return Operator::kIn;
  if (in.is_name("not") && in.next().kind == TokenKind::kName && in.next().text == "in") {
    in.advance();
    in.advance();
    return Operator::kNotIn;
  }
  return std::nullopt;
}

}  // namespace

bool TokenReader::take_operator(std::string_view op) {
  if (!is_operator(op)) return false;
  advance();
  return true;
}

bool TokenReader::take_name(std::string_view name) {
  if (!is_name(name)) return false;
  advance();
  return true;
}

bool TokenReader::names_since(std::size_t begin, std::string_view name) const {
  for (std::size_t i = begin; i < at_; ++i) {
    if (tokens_[i].kind == TokenKind::kName && tokens_[i].text == name) return true;
  }
  return false;
}

void TokenReader::expect_operator(std::string_view op) {
  if (!take_operator(op)) fail(std::string("Expected ").append(op));
}

void TokenReader::expect(TokenKind kind) {
  if (!is(kind)) fail("A tag does not end here");
  advance();
}

std::string TokenReader::expect_name() {
  if (!is(TokenKind::kName)) fail("Expected a name");
  std::string name = current().text;
  advance();
  return name;
}

ExpressionPtr ExpressionParser::expression(bool with_conditional) {
  const TokenReader::Level level(in_);
  ExpressionPtr value = any_of();
  while (with_conditional && in_.take_name("if")) {
    ExpressionPtr condition = any_of();
    ExpressionPtr otherwise;
    if (in_.take_name("else")) otherwise = expression();
    value = make(ConditionalNode{std::move(condition), std::move(value), std::move(otherwise)});
    if (!std::get<ConditionalNode>(value->node).otherwise && in_.is_name("if")) {
      in_.fail("An if without else cannot be followed by another");
    }
  }
  return value;
}

ExpressionPtr ExpressionParser::tuple(bool with_conditional) {
  ExpressionPtr first = expression(with_conditional);
  if (!in_.is_operator(",")) return first;
  ListNode list{.items = {}, .kind = ListKind::kTuple};
  list.items.push_back(std::move(first));
  while (in_.take_operator(",")) {
    if (in_.is(TokenKind::kBlockEnd) || in_.is(TokenKind::kOutputEnd) || in_.is_operator(")")) {
      break;
    }
    list.items.push_back(expression(with_conditional));
  }
  return make(std::move(list));
}

ExpressionPtr ExpressionParser::any_of() {
  LogicalNode node{.all = false, .operands = {}};
  do {
    node.operands.push_back(all_of());
  } while (in_.take_name("or"));
  if (node.operands.size() == 1) return std::move(node.operands.front());
  return make(std::move(node));
}

ExpressionPtr ExpressionParser::all_of() {
  LogicalNode node{.all = true, .operands = {}};
  do {
    node.operands.push_back(negation());
  } while (in_.take_name("and"));
  if (node.operands.size() == 1) return std::move(node.operands.front());
  return make(std::move(node));
}

ExpressionPtr ExpressionParser::negation() {
  if (!in_.take_name("not")) return comparison();
  const TokenReader::Level level(in_);
  return make(UnaryNode{'!', negation()});
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): a unique_ptr in an aggregate holds it

ExpressionPtr ExpressionParser::comparison() {
  ComparisonNode node{chain(0), {}};
  while (const auto op = take_comparison(in_)) node.rest.emplace_back(*op, chain(0));
  if (node.rest.empty()) return std::move(node.first);
  return make(std::move(node));
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): a unique_ptr in an aggregate holds it

ExpressionPtr ExpressionParser::chain(int level) {
  if (level == kNumLevels) return unary(true);
  ChainNode node{chain(level + 1), {}};
  while (const auto op = take_one_of(in_, kLevels[level])) {
    node.rest.emplace_back(*op, chain(level + 1));
  }
  if (node.rest.empty()) return std::move(node.first);
  return make(std::move(node));
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  const TokenReader::Level level(in_);
  std::vector<Step> steps;
  ExpressionPtr value;
  if (in_.is_operator("-") || in_.is_operator("+")) {
    const char sign = in_.current().text.front();
    in_.advance();
    value = make(UnaryNode{sign, unary(false)});
  } else {
    value = primary();
  }
  postfix(steps);
  if (with_filters) filters_and_tests(steps);
  return with_steps(std::move(value), std::move(steps));
}

ExpressionPtr ExpressionParser::primary() {
  if (in_.take_operator("(")) return parenthesis();
  if (in_.take_operator("[")) return list();
  if (in_.take_operator("{")) return map();
  return literal();
}

ExpressionPtr ExpressionParser::literal() {
  const Token token = in_.current();
  switch (token.kind) {
    case TokenKind::kName:
      in_.advance();
      if (token.text == "true" || token.text == "True") return make(LiteralNode{true});
      if (token.text == "false" || token.text == "False") return make(LiteralNode{false});
      if (token.text == "none" || token.text == "None") return make(LiteralNode{None{}});
      return make(NameNode{token.text});
    case TokenKind::kString: {
      std::string text;
      for (; in_.is(TokenKind::kString); in_.advance()) text += in_.current().text;
      return make(LiteralNode{Text(std::move(text), TextOrigin::kTemplate)});
    }
    case TokenKind::kInteger: {
      std::int64_t value = 0;
      const char* end = token.text.data() + token.text.size();
      if (std::from_chars(token.text.data(), end, value).ec != std::errc{}) {
        in_.fail("An integer is too large");
      }
      in_.advance();
      return make(LiteralNode{value});
    }
    case TokenKind::kFloat: {
      double value = 0;
      const char* end = token.text.data() + token.text.size();
      if (std::from_chars(token.text.data(), end, value).ec != std::errc{}) {
        in_.fail("A number is out of range");
      }
      in_.advance();
      return make(LiteralNode{value});
    }
    default:
      in_.fail("Expected a value");
  }
}

ExpressionPtr ExpressionParser::parenthesis() {
  if (in_.take_operator(")")) return make(ListNode{.items = {}, .kind = ListKind::kTuple});
  ExpressionPtr value = tuple();
  in_.expect_operator(")");
  return value;
}

ExpressionPtr ExpressionParser::list() {
  ListNode node{.items = {}, .kind = ListKind::kList};
  while (!in_.take_operator("]")) {
    if (!node.items.empty()) {
      in_.expect_operator(",");
      if (in_.take_operator("]")) break;
    }
    node.items.push_back(expression());
  }
  return make(std::move(node));
}

ExpressionPtr ExpressionParser::map() {
  MapNode node;
  while (!in_.take_operator("}")) {
    if (!node.items.empty()) {
      in_.expect_operator(",");
      if (in_.take_operator("}")) break;
    }
    ExpressionPtr key = expression();
    in_.expect_operator(":");
    node.items.emplace_back(std::move(key), expression());
  }
  return make(std::move(node));
}

void ExpressionParser::postfix(std::vector<Step>& steps) {
  while (true) {
    if (in_.take_operator(".")) {
      if (in_.is(TokenKind::kInteger)) {
        steps.emplace_back(SubscriptStep{literal()});
      } else {
        steps.emplace_back(AttributeStep{in_.expect_name()});
      }
    } else if (in_.take_operator("[")) {
      steps.push_back(subscript());
    } else if (in_.take_operator("(")) {
      steps.emplace_back(CallStep{arguments()});
    } else {
      return;
    }
  }
}

Step ExpressionParser::subscript() {
  SliceStep slice;
  ExpressionPtr* parts[] = {&slice.begin, &slice.end, &slice.stride};
  std::size_t part = 0;
  while (!in_.take_operator("]")) {
    if (in_.take_operator(":")) {
      if (++part == std::size(parts)) in_.fail("A slice has at most three parts");
    } else if (*parts[part] != nullptr) {
      in_.fail("Expected ]");
    } else {
      *parts[part] = expression();
    }
  }
  if (part > 0) return slice;
  if (slice.begin == nullptr) in_.fail("A subscript is empty");
  return SubscriptStep{std::move(slice.begin)};
}

void ExpressionParser::filters_and_tests(std::vector<Step>& steps) {
  while (true) {
    if (in_.take_operator("|")) {
      steps.emplace_back(filter());
    } else if (in_.take_name("is")) {
      steps.emplace_back(test());
    } else if (in_.take_operator("(")) {
      steps.emplace_back(CallStep{arguments()});
    } else {
      return;
    }
  }
}

std::vector<FilterStep> ExpressionParser::filters() {
  std::vector<FilterStep> all;
  do {
    all.push_back(filter());
  } while (in_.take_operator("|"));
  return all;
}

FilterStep ExpressionParser::filter() {
  FilterStep step;
  step.name = in_.expect_name();
  while (in_.take_operator(".")) step.name.append(1, '.').append(in_.expect_name());
  if (in_.take_operator("(")) step.arguments = arguments();
  return step;
}

// A test's one argument may stand without parentheses: "is divisibleby 3".
bool ExpressionParser::begins_argument() const {
  const Token& token = in_.current();
  switch (token.kind) {
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return true;
    case TokenKind::kName:
      return token.text != "else" && token.text != "or" && token.text != "and" &&
             token.text != "is" && token.text != "if" && token.text != "not" && token.text != "in";
    case TokenKind::kOperator:
      return token.text == "[" || token.text == "{";
    default:
      return false;
  }
}

TestStep ExpressionParser::test() {
  TestStep step;
  step.negated = in_.take_name("not");
  step.name = in_.expect_name();
  while (in_.take_operator(".")) step.name.append(1, '.').append(in_.expect_name());
  if (in_.take_operator("(")) {
    step.arguments = arguments();
  } else if (begins_argument()) {
    const TokenReader::Level level(in_);
    ExpressionPtr value = primary();
    std::vector<Step> steps;
    postfix(steps);
    step.arguments.positional.push_back(with_steps(std::move(value), std::move(steps)));
  } else if (in_.is_name("is")) {
    in_.fail("A test without an argument cannot be followed by another");
  }
  return step;
}

// After the opening parenthesis.
Arguments ExpressionParser::arguments() {
  Arguments all;
  bool first = true;
  while (!in_.take_operator(")")) {
    if (!first) {
      in_.expect_operator(",");
      if (in_.take_operator(")")) break;
    }
    first = false;
    if (in_.take_operator("**")) {
      if (all.more_named) in_.fail("** stands twice");
      all.more_named = expression();
    } else if (in_.take_operator("*")) {
      if (all.more_positional || all.more_named) in_.fail("* stands in the wrong place");
      all.more_positional = expression();
    } else if (in_.is(TokenKind::kName) && in_.next().kind == TokenKind::kOperator &&
               in_.next().text == "=") {
      if (all.more_named) in_.fail("An argument follows **");
      std::string name = in_.expect_name();
      in_.expect_operator("=");
      all.named.emplace_back(std::move(name), expression());
    } else {
      if (!all.named.empty() || all.more_positional || all.more_named) {
        in_.fail("An argument without a name follows one with a name");
      }
      all.positional.push_back(expression());
    }
  }
  return all;
}

}  // namespace quire::engine::jinja
