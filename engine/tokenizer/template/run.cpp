#include "engine/tokenizer/template/run.h"

#include <algorithm>

#include "engine/tokenizer/template/text_form.h"

namespace quire::engine::jinja {
namespace {

// What an element of the run's own lists weighs: charged as text is.
constexpr std::size_t kScopeBytes = 128;

}  // namespace

const Value* Scope::find(std::string_view name) const {
  for (const auto& [key, value] : names) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  const auto old = std::ranges::find(names, name, &std::pair<std::string_view, Value>::first);
  if (old != names.end()) {
    old->second = std::move(value);
  } else {
    names.emplace_back(name, std::move(value));
  }
}

Value Namespace::get(std::string_view name) const {
  const auto found = std::ranges::find(names, name, &std::pair<std::string, Value>::first);
  return found == names.end() ? Value() : found->second;
}

void Namespace::set(std::string_view name, Value value) {
  if (name.starts_with('_')) fail("A namespace has no names that begin with an underscore.");
  const auto old = std::ranges::find(names, name, &std::pair<std::string, Value>::first);
  if (old != names.end()) {
    old->second = std::move(value);
  } else {
    names.emplace_back(std::string(name), std::move(value));
  }
}

Run::Inner::Inner(Run& run, Scope* parent)
    : run_(run), outer_(run.scope_), scope_(std::make_unique<Scope>()) {
  scope_->parent = parent;
  run_.scope_ = scope_.get();
}

Run::Inner::~Inner() {
  run_.scope_ = outer_;
  if (scope_->remembered) run_.remembered_.push_back(std::move(scope_));
}

Text Run::render(const Block& block, const std::vector<std::pair<std::string, Value>>& variables) {
  const Inner globals(*this, nullptr);
  for (const auto& [name, value] : variables) scope_->set(name, value);
  const Inner top(*this, scope_);
  Capture capture(*this);
  run_block(block);
  Text text = capture.take();
  fuel_.output(text.size());
  return text;
}

Namespace& Run::make_namespace() {
  fuel_.make(kScopeBytes);
  return namespaces_.emplace_back();
}

// A scope that outlives its block, and those around it.
Scope* Run::remember(Scope* scope) {
  for (Scope* s = scope; s != nullptr && !s->remembered; s = s->parent) {
    fuel_.make(kScopeBytes);
    s->remembered = true;
  }
  return scope;
}

void Run::write(const Text& text) {
  fuel_.make(text.size());
  out_->add(text);
}

Run::Flow Run::run_block(const Block& block) {
  for (const Statement& statement : block) {
    const Depth depth(*this);
    const Flow flow =
        std::visit([this](const auto& node) { return execute(node); }, statement.node);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Run::Flow Run::execute(const DataStatement& node) {
  write(node.text);
  return Flow::kNext;
}

Run::Flow Run::execute(const OutputStatement& node) {
  write(to_text(fuel_, evaluate(*node.value)));
  return Flow::kNext;
}

Run::Flow Run::execute(const IfStatement& node) {
  for (const IfStatement::Branch& branch : node.branches) {
    if (is_true(evaluate(*branch.condition))) return run_block(branch.body);
  }
  return run_block(node.otherwise);
}

Run::Flow Run::execute(const SetStatement& node) {
  assign(node.target, evaluate(*node.value));
  return Flow::kNext;
}

Run::Flow Run::execute(const SetBlockStatement& node) {
  Text text;
  {
    const Inner inner(*this, scope_);
    Capture capture(*this);
    run_block(node.body);
    text = capture.take();
  }
  assign(node.target, apply_filters(node.filters, text));
  return Flow::kNext;
}

const Macro* Run::make_macro(const MacroStatement& node) {
  return &macros_.emplace_back(Macro{&node, remember(scope_)});
}

Run::Flow Run::execute(const MacroStatement& node) {
  scope_->set(node.name, make_macro(node));
  return Flow::kNext;
}

Run::Flow Run::execute(const CallStatement& node) {
  const auto& postfix = std::get<PostfixNode>(node.call->node);
  Value callee = evaluate(*postfix.base);
  for (std::size_t i = 0; i + 1 < postfix.steps.size(); ++i) {
    callee = take_step(callee, postfix.steps[i]);
  }
  const auto& step = std::get<CallStep>(postfix.steps.back());
  CallArguments arguments = evaluate_arguments(step.arguments);
  arguments.named.emplace_back("caller", make_macro(node.caller));
  write(to_text(fuel_, call(callee, std::move(arguments))));
  return Flow::kNext;
}

Run::Flow Run::execute(const FilterStatement& node) {
  Text text;
  {
    const Inner inner(*this, scope_);
    Capture capture(*this);
    run_block(node.body);
    text = capture.take();
  }
  write(to_text(fuel_, apply_filters(node.filters, text)));
  return Flow::kNext;
}

Run::Flow Run::execute(const ScopeStatement& node) {
  std::vector<Value> values;
  values.reserve(node.names.size());
  for (const auto& name : node.names) values.push_back(evaluate(*name.second));
  const Inner inner(*this, scope_);
  for (std::size_t i = 0; i < values.size(); ++i) assign(node.names[i].first, values[i]);
  return run_block(node.body);
}

Run::Flow Run::execute(const LoopControl& node) {
  return node.ends_loop ? Flow::kBreak : Flow::kContinue;
}

Run::Flow Run::execute(const ForStatement& node) {
  run_loop(node, evaluate(*node.list), scope_, 0);
  return Flow::kNext;
}

// The elements, without those that the loop's own condition leaves out.
std::vector<Value> Run::loop_items(const ForStatement& node, const Value& list) {
  std::vector<Value> items = elements(fuel_, list);
  if (!node.condition) return items;
  std::erase_if(items, [&](const Value& item) {
    const Inner inner(*this, scope_);
    assign(node.target, item);
    return !is_true(evaluate(*node.condition));
  });
  return items;
}

void Run::run_loop(const ForStatement& node, const Value& list, Scope* scope, std::int64_t depth) {
  fuel_.make(sizeof(Loop));
  const Inner outer(*this, scope);
  Loop& loop = loops_.emplace_back();
  loop.items = loop_items(node, list);
  loop.length = loop.items.size();
  loop.depth = depth;
  loop.statement = &node;
  if (node.recursive) loop.scope = remember(scope_);
  for (; loop.index < loop.length; ++loop.index) {
    const Inner inner(*this, scope_);
    scope_->set("loop", &loop);
    assign(node.target, loop.items[loop.index]);
    if (run_block(node.body) == Flow::kBreak) break;
  }
  loop.items.clear();
  if (loop.length == 0) run_block(node.otherwise);
}

void Run::assign(const Target& target, const Value& value) {
  if (!target.parts.empty()) {
    const std::vector<Value> values = elements(fuel_, value);
    if (values.size() != target.parts.size()) fail("There are more or fewer values than names.");
    for (std::size_t i = 0; i < values.size(); ++i) assign(target.parts[i], values[i]);
    return;
  }
  if (target.attribute.empty()) return scope_->set(target.name, value);
  const Value object = value_of(NameNode{target.name});
  if (!object.is<Namespace*>()) fail("Only a namespace's attributes can be set.");
  (*object.get<Namespace*>())->set(target.attribute, value);
}

Value Run::apply_filters(const std::vector<FilterStep>& filters, Value value) {
  for (const FilterStep& step : filters) {
    value = filter(step.name, value, evaluate_arguments(step.arguments));
  }
  return value;
}

}  // namespace quire::engine::jinja
