#pragma once
// The tree of a parsed template. Plain data, immutable after parsing; any thread may run it.
//
// 1. Nested at most kMaxSyntaxDepth deep: chains of operators, of filters and of elif are lists,
//    not trees, so that walking and destroying the tree is safe.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/tokenizer/template/value.h"

namespace quire::engine::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Arguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr more_positional;  // *list; may be null, as the next
  ExpressionPtr more_named;       // **map
};

// What may follow a value, from left to right.
struct AttributeStep {
  std::string name;
};
struct SubscriptStep {
  ExpressionPtr key;
};
struct SliceStep {
  ExpressionPtr begin, end, stride;  // each may be null
};
struct CallStep {
  Arguments arguments;
};
struct FilterStep {
  std::string name;
  Arguments arguments;
};
struct TestStep {
  std::string name;
  Arguments arguments;
  bool negated = false;
};
using Step = std::variant<AttributeStep, SubscriptStep, SliceStep, CallStep, FilterStep, TestStep>;

enum class Operator : std::uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kConcatenate,
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kIn,
  kNotIn,
};

struct LiteralNode {
  Value value;
};
struct NameNode {
  std::string name;
};
struct ListNode {
  std::vector<ExpressionPtr> items;
  ListKind kind = ListKind::kList;
};
struct MapNode {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> items;
};
struct ConditionalNode {
  ExpressionPtr condition, then, otherwise;  // otherwise may be null
};
struct LogicalNode {
  bool all = false;  // and
  std::vector<ExpressionPtr> operands;
};
struct UnaryNode {
  char sign = '-';  // '-', '+' or '!' (not)
  ExpressionPtr operand;
};
// a + b - c: from left to right.
struct ChainNode {
  ExpressionPtr first;
  std::vector<std::pair<Operator, ExpressionPtr>> rest;
};
// a < b <= c: all must hold, each operand is evaluated once.
struct ComparisonNode {
  ExpressionPtr first;
  std::vector<std::pair<Operator, ExpressionPtr>> rest;
};
struct PostfixNode {
  ExpressionPtr base;
  std::vector<Step> steps;
};

struct Expression {
  std::variant<LiteralNode, NameNode, ListNode, MapNode, ConditionalNode, LogicalNode, UnaryNode,
               ChainNode, ComparisonNode, PostfixNode>
      node;
};

struct Statement;
using Block = std::vector<Statement>;

// What is assigned to: a name, an attribute of a namespace, or several of these.
struct Target {
  std::string name;
  std::string attribute;      // not empty: of the namespace `name`
  std::vector<Target> parts;  // not empty: the value is taken apart
};

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  // may be null
};

struct DataStatement {
  Text text;
};
struct OutputStatement {
  ExpressionPtr value;
};
struct IfStatement {
  struct Branch {
    ExpressionPtr condition;
    Block body;
  };
  std::vector<Branch> branches;
  Block otherwise;
};
struct ForStatement {
  Target target;
  ExpressionPtr list;
  ExpressionPtr condition;  // may be null
  Block body;
  Block otherwise;
  bool recursive = false;
};
struct SetStatement {
  Target target;
  ExpressionPtr value;
};
struct SetBlockStatement {
  Target target;
  std::vector<FilterStep> filters;
  Block body;
};
struct MacroStatement {
  std::string name;
  std::vector<Parameter> parameters;
  Block body;
  // Whether the body names them: else more arguments than parameters are an error.
  bool takes_varargs = false;
  bool takes_kwargs = false;
  bool takes_caller = false;
};
struct CallStatement {
  MacroStatement caller;
  ExpressionPtr call;  // a PostfixNode whose last step is a call
};
struct FilterStatement {
  std::vector<FilterStep> filters;
  Block body;
};
// with and generation: names of their own.
struct ScopeStatement {
  std::vector<std::pair<Target, ExpressionPtr>> names;
  Block body;
};
struct LoopControl {
  bool ends_loop = false;  // break, else continue
};

struct Statement {
  std::variant<DataStatement, OutputStatement, IfStatement, ForStatement, SetStatement,
               SetBlockStatement, MacroStatement, CallStatement, FilterStatement, ScopeStatement,
               LoopControl>
      node;
};

}  // namespace quire::engine::jinja
