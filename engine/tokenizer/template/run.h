#pragma once
// Run: one rendering of a parsed template: its names, its fuel, its output.
//
// One thread, one rendering. The tree outlives it. Namespaces, loops, macros and the scopes that
// macros remember belong to the run and live as long as it, so values may point at them freely.
// 1. Throws TemplateError and nothing else (std::bad_alloc aside).
// 2. What a template can reach: its own names, maps, lists, texts, and the tables of functions,
//    filters, tests and methods. There is no way to an object of the program.
// Cost: bounded by its Fuel; recursion by kMaxEvalDepth and kMaxCallDepth.

#include <ctime>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tokenizer/template/fuel.h"
#include "engine/tokenizer/template/syntax.h"
#include "engine/tokenizer/template/value.h"

namespace quire::engine::jinja {

struct CallArguments {
  std::vector<Value> positional = {};
  std::vector<std::pair<std::string, Value>> named = {};
};

// The names of one block.
struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<std::string_view, Value>> names = {};
  bool remembered = false;  // a macro or a loop points at it: it must not go

  [[nodiscard]] const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> names = {};

  [[nodiscard]] Value get(std::string_view name) const;
  void set(std::string_view name, Value value);
};

struct Loop {
  std::vector<Value> items = {};
  std::size_t length = 0;
  std::size_t index = 0;
  std::int64_t depth = 0;  // of recursive loops
  const ForStatement* statement = nullptr;
  Scope* scope = nullptr;  // in which it runs; only of a recursive one
  Value changed = {};      // what changed() was last asked about
};

struct Macro {
  const MacroStatement* statement = nullptr;
  Scope* scope = nullptr;  // in which it was written
};

class Run final {
 public:
  Run(Fuel& fuel, const std::tm& now) : fuel_(fuel), now_(now) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Once.
  Text render(const Block& block, const std::vector<std::pair<std::string, Value>>& variables);

  [[nodiscard]] Fuel& fuel() { return fuel_; }
  [[nodiscard]] const std::tm& now() const { return now_; }

  // As in `value.name`, `value[key]`, `value(...)`, `value|name(...)` and `value is name(...)`.
  Value attribute(const Value& value, std::string_view name);
  Value item(const Value& value, const Value& key);
  Value call(const Value& callee, CallArguments arguments);
  Value filter(std::string_view name, const Value& value, const CallArguments& arguments);
  bool test(std::string_view name, const Value& value, const CallArguments& arguments);

  Namespace& make_namespace();

 private:
  enum class Flow : std::uint8_t { kNext, kBreak, kContinue };

  // A scope within the current one while it lives.
  class Inner final {
   public:
    Inner(Run& run, Scope* parent);
    ~Inner();
    Inner(const Inner&) = delete;
    Inner& operator=(const Inner&) = delete;

   private:
    Run& run_;
    Scope* outer_;
    std::unique_ptr<Scope> scope_;
  };
  // Output goes to a builder of its own while it lives.
  class Capture final {
   public:
    explicit Capture(Run& run) : run_(run), outer_(std::exchange(run.out_, &builder_)) {}
    ~Capture() { run_.out_ = outer_; }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    [[nodiscard]] Text take() { return builder_.take(); }

   private:
    Run& run_;
    TextBuilder* outer_;
    TextBuilder builder_;
  };
  class Depth;

  void write(const Text& text);
  Flow run_block(const Block& block);
  Flow execute(const DataStatement& node);
  Flow execute(const OutputStatement& node);
  Flow execute(const IfStatement& node);
  Flow execute(const ForStatement& node);
  Flow execute(const SetStatement& node);
  Flow execute(const SetBlockStatement& node);
  Flow execute(const MacroStatement& node);
  Flow execute(const CallStatement& node);
  Flow execute(const FilterStatement& node);
  Flow execute(const ScopeStatement& node);
  Flow execute(const LoopControl& node);

  std::vector<Value> loop_items(const ForStatement& node, const Value& list);
  void run_loop(const ForStatement& node, const Value& list, Scope* scope, std::int64_t depth);
  void assign(const Target& target, const Value& value);
  Value apply_filters(const std::vector<FilterStep>& filters, Value value);
  const Macro* make_macro(const MacroStatement& node);
  Scope* remember(Scope* scope);

  Value evaluate(const Expression& expression);
  Value value_of(const LiteralNode& node);
  Value value_of(const NameNode& node);
  Value value_of(const ListNode& node);
  Value value_of(const MapNode& node);
  Value value_of(const ConditionalNode& node);
  Value value_of(const LogicalNode& node);
  Value value_of(const UnaryNode& node);
  Value value_of(const ChainNode& node);
  Value value_of(const ComparisonNode& node);
  Value value_of(const PostfixNode& node);
  Value take_step(const Value& value, const Step& step);
  CallArguments evaluate_arguments(const Arguments& arguments);

  Value loop_attribute(const Loop& loop, std::string_view name);
  Value call_macro(const Macro& macro, CallArguments arguments);
  void bind_parameters(const Macro& macro, CallArguments& arguments, Scope& scope);
  Value call_loop(const Loop& loop, CallArguments arguments);

  Fuel& fuel_;
  const std::tm now_;
  Scope* scope_ = nullptr;
  TextBuilder* out_ = nullptr;
  int eval_depth_ = 0;
  int call_depth_ = 0;
  std::vector<std::unique_ptr<Scope>> remembered_;
  std::deque<Namespace> namespaces_;
  std::deque<Loop> loops_;
  std::deque<Macro> macros_;
};

// One level of what is being evaluated, while it lives.
class Run::Depth final {
 public:
  explicit Depth(Run& run) : run_(run) {
    run_.fuel_.spend();
    if (++run_.eval_depth_ > kMaxEvalDepth) {
      throw TemplateError(TemplateError::Kind::kFuel, "The chat template recursed too deep.");
    }
  }
  ~Depth() { --run_.eval_depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  Run& run_;
};

}  // namespace quire::engine::jinja
