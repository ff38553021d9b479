// Run's expressions.

#include "engine/tokenizer/template/functions.h"
#include "engine/tokenizer/template/methods.h"
#include "engine/tokenizer/template/operators.h"
#include "engine/tokenizer/template/run.h"

namespace quire::engine::jinja {

Value Run::evaluate(const Expression& expression) {
  const Depth depth(*this);
  return std::visit([this](const auto& node) { return value_of(node); }, expression.node);
}

Value Run::value_of(const LiteralNode& node) { return node.value; }

Value Run::value_of(const NameNode& node) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    fuel_.spend();
    if (const Value* value = scope->find(node.name)) return *value;
  }
  if (const auto function = find_function(node.name)) return *function;
  return {};
}

Value Run::value_of(const ListNode& node) {
  std::vector<Value> items;
  items.reserve(node.items.size());
  for (const ExpressionPtr& item : node.items) items.push_back(evaluate(*item));
  return make_list(fuel_, std::move(items), node.kind);
}

Value Run::value_of(const MapNode& node) {
  std::vector<std::pair<Value, Value>> items;
  for (const auto& [key, value] : node.items) {
    Value evaluated = evaluate(*key);
    items.emplace_back(std::move(evaluated), evaluate(*value));
  }
  return make_map(fuel_, std::move(items));
}

Value Run::value_of(const ConditionalNode& node) {
  if (is_true(evaluate(*node.condition))) return evaluate(*node.then);
  return node.otherwise ? evaluate(*node.otherwise) : Value();
}

Value Run::value_of(const LogicalNode& node) {
  Value value;
  for (const ExpressionPtr& operand : node.operands) {
    value = evaluate(*operand);
    if (is_true(value) != node.all) break;
  }
  return value;
}

Value Run::value_of(const UnaryNode& node) {
  const Value value = evaluate(*node.operand);
  if (node.sign == '!') return !is_true(value);
  return apply_sign(node.sign, value);
}

Value Run::value_of(const ChainNode& node) {
  Value value = evaluate(*node.first);
  for (const auto& [op, operand] : node.rest) {
    value = apply(fuel_, op, value, evaluate(*operand));
  }
  return value;
}

Value Run::value_of(const ComparisonNode& node) {
  Value left = evaluate(*node.first);
  for (const auto& [op, operand] : node.rest) {
    Value right = evaluate(*operand);
    if (!compare(fuel_, op, left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Run::value_of(const PostfixNode& node) {
  Value value = evaluate(*node.base);
  for (const Step& step : node.steps) value = take_step(value, step);
  return value;
}

Value Run::take_step(const Value& value, const Step& step) {
  fuel_.spend();
  if (const auto* attribute_step = std::get_if<AttributeStep>(&step)) {
    return attribute(value, attribute_step->name);
  }
  if (const auto* subscript = std::get_if<SubscriptStep>(&step)) {
    return item(value, evaluate(*subscript->key));
  }
  if (const auto* part = std::get_if<SliceStep>(&step)) {
    const auto bound = [this](const ExpressionPtr& e) { return e ? evaluate(*e) : Value(None{}); };
    const Value begin = bound(part->begin);
    const Value end = bound(part->end);
    return slice(fuel_, value, begin, end, bound(part->stride));
  }
  if (const auto* invocation = std::get_if<CallStep>(&step)) {
    return call(value, evaluate_arguments(invocation->arguments));
  }
  if (const auto* filtered = std::get_if<FilterStep>(&step)) {
    return filter(filtered->name, value, evaluate_arguments(filtered->arguments));
  }
  const auto& tested = std::get<TestStep>(step);
  return test(tested.name, value, evaluate_arguments(tested.arguments)) != tested.negated;
}

CallArguments Run::evaluate_arguments(const Arguments& arguments) {
  CallArguments all;
  for (const ExpressionPtr& value : arguments.positional) {
    all.positional.push_back(evaluate(*value));
  }
  for (const auto& [name, value] : arguments.named) all.named.emplace_back(name, evaluate(*value));
  if (arguments.more_positional) {
    const std::vector<Value> more = elements(fuel_, evaluate(*arguments.more_positional));
    all.positional.insert(all.positional.end(), more.begin(), more.end());
  }
  if (arguments.more_named) {
    const Value more = evaluate(*arguments.more_named);
    if (more.map() == nullptr) fail("What follows ** must be a map.");
    for (const auto& [name, value] : more.map()->items) {
      if (name.text() == nullptr) fail("The keys of what follows ** must be texts.");
      all.named.emplace_back(std::string(name.text()->bytes()), value);
    }
  }
  return all;
}

Value Run::attribute(const Value& value, std::string_view name) {
  if (value.is<Undefined>()) fail("An undefined value has no attributes.");
  if (value.is<Namespace*>()) return (*value.get<Namespace*>())->get(name);
  if (value.is<Loop*>()) return loop_attribute(**value.get<Loop*>(), name);
  if (const auto method = find_method(value, name)) {
    return std::shared_ptr<const Method>(std::make_shared<Method>(value, *method));
  }
  if (value.map() == nullptr) return {};
  const Value* found = find_key(fuel_, *value.map(), name);
  return found == nullptr ? Value() : *found;
}

Value Run::item(const Value& value, const Value& key) {
  if (value.is<Undefined>()) fail("An undefined value has no elements.");
  if (const Map* map = value.map()) {
    if (const Value* found = find_key(fuel_, *map, key)) return *found;
  } else if (key.is_integer()) {
    return element_at(fuel_, value, key.integer());
  }
  if (key.text() == nullptr) return {};
  return attribute(value, key.text()->bytes());
}

Value Run::loop_attribute(const Loop& loop, std::string_view name) {
  const auto number = [](std::size_t n) { return Value(static_cast<std::int64_t>(n)); };
  if (name == "index") return number(loop.index + 1);
  if (name == "index0") return number(loop.index);
  if (name == "first") return loop.index == 0;
  if (name == "last") return loop.index + 1 == loop.length;
  if (name == "length") return number(loop.length);
  if (name == "revindex") return number(loop.length - loop.index);
  if (name == "revindex0") return number(loop.length - loop.index - 1);
  if (name == "depth") return loop.depth + 1;
  if (name == "depth0") return loop.depth;
  if (name == "previtem" && loop.index > 0 && loop.index <= loop.items.size()) {
    return loop.items[loop.index - 1];
  }
  if (name == "nextitem" && loop.index + 1 < loop.items.size()) return loop.items[loop.index + 1];
  if (name == "cycle" || name == "changed") {
    Value self = const_cast<Loop*>(&loop);  // loops belong to this run
    return std::shared_ptr<const Method>(std::make_shared<Method>(
        std::move(self), name == "cycle" ? std::string_view("cycle") : "changed"));
  }
  return {};
}

}  // namespace quire::engine::jinja
