// Run::test(): `value is name(...)`.

#include <algorithm>

#include "engine/tokenizer/template/arguments.h"
#include "engine/tokenizer/template/filters.h"
#include "engine/tokenizer/template/functions.h"
#include "engine/tokenizer/template/operators.h"
#include "engine/tokenizer/template/text_form.h"
#include "engine/tokenizer/template/text_operations.h"

namespace quire::engine::jinja {
namespace {

using Given = const CallArguments&;
using Test = bool (*)(Run&, const Value&, Given);

bool is_callable(const Value& value) {
  return value.is<const Macro*>() || value.is<Function>() || value.is<Loop*>() ||
         value.is<std::shared_ptr<const Method>>();
}

bool is_sequence(Run& /*run*/, const Value& value, Given /*given*/) {
  const List* list = value.list();
  return value.text() != nullptr || value.map() != nullptr || value.is<Undefined>() ||
         (list != nullptr && list->kind <= ListKind::kTuple);
}

bool is_iterable(Run& /*run*/, const Value& value, Given /*given*/) {
  return value.text() != nullptr || value.map() != nullptr || value.list() != nullptr ||
         value.is<Undefined>() || value.is<Loop*>();
}

// value % divisor == rest
bool leaves_rest(Run& run, const Value& value, const Value& divisor, std::int64_t rest) {
  if (!value.is_number()) fail("Only a number can be even, odd or divisible.");
  return equal(run.fuel(), apply(run.fuel(), Operator::kModulo, value, divisor), rest);
}

bool is_divisible(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"num"}, 1);
  return leaves_rest(run, value, *bound[0], 0);
}

template <Operator kOperator>
bool compares(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"other"}, 1);
  return compare(run.fuel(), kOperator, value, *bound[0]);
}

// The same thing, not only an equal one: decidable for what exists once.
bool is_same(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"other"}, 1);
  const Value& other = *bound[0];
  if (value.is<bool>() != other.is<bool>() || value.is<double>() != other.is<double>())
    return false;
  if (value.list() != nullptr || value.map() != nullptr) {
    return value.list() == other.list() && value.map() == other.map();
  }
  return equal(run.fuel(), value, other);
}

template <typename T>
bool holds(Run& /*run*/, const Value& value, Given /*given*/) {
  return value.is<T>();
}

bool is_filter(Run& /*run*/, const Value& value, Given /*given*/) {
  return value.text() != nullptr && find_filter(value.text()->bytes()) != nullptr;
}

bool is_test(Run& run, const Value& value, Given given);

struct Entry {
  std::string_view name;
  Test test;
};

constexpr Entry kTests[] = {
    {"undefined", holds<Undefined>},
    {"none", holds<None>},
    {"boolean", holds<bool>},
    {"integer", holds<std::int64_t>},
    {"float", holds<double>},
    {"string", holds<Text>},
    {"mapping", holds<MapRef>},
    {"sequence", is_sequence},
    {"iterable", is_iterable},
    {"divisibleby", is_divisible},
    {"sameas", is_same},
    {"filter", is_filter},
    {"test", is_test},
    {"eq", compares<Operator::kEqual>},
    {"==", compares<Operator::kEqual>},
    {"equalto", compares<Operator::kEqual>},
    {"ne", compares<Operator::kNotEqual>},
    {"!=", compares<Operator::kNotEqual>},
    {"lt", compares<Operator::kLess>},
    {"<", compares<Operator::kLess>},
    {"lessthan", compares<Operator::kLess>},
    {"le", compares<Operator::kLessOrEqual>},
    {"<=", compares<Operator::kLessOrEqual>},
    {"gt", compares<Operator::kGreater>},
    {">", compares<Operator::kGreater>},
    {"greaterthan", compares<Operator::kGreater>},
    {"ge", compares<Operator::kGreaterOrEqual>},
    {">=", compares<Operator::kGreaterOrEqual>},
    {"in", compares<Operator::kIn>},
    {"defined", [](Run&, const Value& value, Given) { return !value.is<Undefined>(); }},
    {"number", [](Run&, const Value& value, Given) { return value.is_number(); }},
    {"callable", [](Run&, const Value& value, Given) { return is_callable(value); }},
    {"true",
     [](Run&, const Value& value, Given) { return value.is<bool>() && value.integer() == 1; }},
    {"false",
     [](Run&, const Value& value, Given) { return value.is<bool>() && value.integer() == 0; }},
    {"even", [](Run& run, const Value& value,
                Given) { return leaves_rest(run, value, std::int64_t{2}, 0); }},
    {"odd", [](Run& run, const Value& value,
               Given) { return leaves_rest(run, value, std::int64_t{2}, 1); }},
    {"escaped", [](Run&, const Value& value,
                   Given) { return value.text() != nullptr && value.text()->is_markup(); }},
    {"upper", [](Run& run, const Value& value,
                 Given) { return is_upper(run.fuel(), to_text(run.fuel(), value)); }},
    {"lower", [](Run& run, const Value& value,
                 Given) { return is_lower(run.fuel(), to_text(run.fuel(), value)); }},
};

const Entry* find_test(std::string_view name) {
  const auto* found = std::ranges::find(kTests, name, &Entry::name);
  return found == std::end(kTests) ? nullptr : found;
}

bool is_test(Run& /*run*/, const Value& value, Given /*given*/) {
  return value.text() != nullptr && find_test(value.text()->bytes()) != nullptr;
}

}  // namespace

bool Run::test(std::string_view name, const Value& value, const CallArguments& arguments) {
  const Depth depth(*this);
  if (const Entry* found = find_test(name)) return found->test(*this, value, arguments);
  fail("The chat template uses a test that does not exist.");
}

}  // namespace quire::engine::jinja
