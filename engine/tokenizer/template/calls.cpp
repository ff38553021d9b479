// Run's calls: macros, recursive loops, functions, methods.

#include <algorithm>

#include "engine/tokenizer/template/functions.h"
#include "engine/tokenizer/template/methods.h"
#include "engine/tokenizer/template/run.h"

namespace quire::engine::jinja {
namespace {

// One call within another while it lives.
class CallLevel final {
 public:
  explicit CallLevel(int& depth) : depth_(depth) {
    if (depth_ >= kMaxCallDepth) {
      throw TemplateError(TemplateError::Kind::kFuel, "The chat template recursed too deep.");
    }
    ++depth_;
  }
  ~CallLevel() { --depth_; }
  CallLevel(const CallLevel&) = delete;
  CallLevel& operator=(const CallLevel&) = delete;

 private:
  int& depth_;
};

}  // namespace

Value Run::call(const Value& callee, CallArguments arguments) {
  fuel_.spend();
  if (const auto* macro = callee.get<const Macro*>())
    return call_macro(**macro, std::move(arguments));
  if (const auto* function = callee.get<Function>()) {
    return call_function(*this, *function, arguments);
  }
  if (const auto* method = callee.get<std::shared_ptr<const Method>>()) {
    return call_method(*this, **method, arguments);
  }
  if (callee.is<Loop*>()) return call_loop(**callee.get<Loop*>(), std::move(arguments));
  fail("This value cannot be called.");
}

Value Run::call_macro(const Macro& macro, CallArguments arguments) {
  const CallLevel level(call_depth_);
  const Inner inner(*this, macro.scope);
  bind_parameters(macro, arguments, *scope_);
  Capture capture(*this);
  run_block(macro.statement->body);
  return capture.take();
}

// Parameters by position, then by name, then by default; the rest is varargs, kwargs and caller.
void Run::bind_parameters(const Macro& macro, CallArguments& arguments, Scope& scope) {
  const std::vector<Parameter>& parameters = macro.statement->parameters;
  const std::size_t num_positional = std::min(parameters.size(), arguments.positional.size());
  for (std::size_t i = 0; i < num_positional; ++i) {
    scope.set(parameters[i].name, std::move(arguments.positional[i]));
  }
  if (arguments.positional.size() > parameters.size() && !macro.statement->takes_varargs) {
    fail("A macro was given too many arguments.");
  }
  std::vector<std::pair<Value, Value>> others;
  for (auto& [name, value] : arguments.named) {
    const auto parameter = std::ranges::find(parameters, name, &Parameter::name);
    if (parameter != parameters.end()) {
      if (scope.find(name) != nullptr) fail("A macro was given an argument twice.");
      scope.set(parameter->name, std::move(value));
    } else if (name == "caller" && macro.statement->takes_caller) {
      scope.set("caller", std::move(value));
    } else if (!macro.statement->takes_kwargs) {
      fail("A macro was given an argument with an unknown name.");
    } else {
      others.emplace_back(Text(name, TextOrigin::kTemplate), std::move(value));
    }
  }
  for (const Parameter& parameter : parameters) {
    if (scope.find(parameter.name) != nullptr) continue;
    scope.set(parameter.name, parameter.fallback ? evaluate(*parameter.fallback) : Value());
  }
  scope.set("kwargs", make_map(fuel_, std::move(others)));
  std::vector<Value> rest(std::make_move_iterator(arguments.positional.begin() +
                                                  static_cast<std::ptrdiff_t>(num_positional)),
                          std::make_move_iterator(arguments.positional.end()));
  scope.set("varargs", make_list(fuel_, std::move(rest), ListKind::kTuple));
}

Value Run::call_loop(const Loop& loop, CallArguments arguments) {
  if (loop.scope == nullptr || arguments.positional.size() != 1) {
    fail("Only a recursive loop can be called, with one list.");
  }
  const CallLevel level(call_depth_);
  Capture capture(*this);
  run_loop(*loop.statement, arguments.positional.front(), loop.scope->parent, loop.depth + 1);
  return capture.take();
}

}  // namespace quire::engine::jinja
