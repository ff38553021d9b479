// Filters on any value: numbers, defaults, JSON.

#include "engine/tokenizer/template/filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "engine/tokenizer/template/arguments.h"
#include "engine/tokenizer/template/operators.h"
#include "engine/tokenizer/template/text_form.h"
#include "engine/tokenizer/template/text_operations.h"

namespace quire::engine::jinja {
namespace {

using Given = const CallArguments&;

Value filter_default(Run& /*run*/, const Value& value, Given given) {
  const Bound bound(given, {"default_value", "boolean"});
  const bool replaced = value.is<Undefined>() || (bound.flag(1, false) && !is_true(value));
  return replaced ? bound.value(0, Text()) : value;
}

Value filter_string(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  return to_text(run.fuel(), value);
}

Value filter_length(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  return length(run.fuel(), value);
}

Value filter_safe(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  return to_text(run.fuel(), value).as_markup(true);
}

Value filter_forceescape(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  return escape_html(run.fuel(), to_text(run.fuel(), value));
}

Value filter_escape(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  const Text text = to_text(run.fuel(), value);
  return text.is_markup() ? text : escape_html(run.fuel(), text);
}

std::string without_underscores(Run& run, const Text& text) {
  const Text trimmed = strip(run.fuel(), text, nullptr, {});
  std::string digits(trimmed.bytes());
  std::erase(digits, '_');
  return digits;
}

// int(text, base): an optional sign and digits.
std::optional<std::int64_t> parse_integer(Run& run, const Text& text, int base) {
  std::string digits = without_underscores(run, text);
  std::string_view rest = digits;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  const auto has_prefix = [&](char small, char large) {
    return rest.size() > 2 && rest[0] == '0' && (rest[1] == small || rest[1] == large);
  };
  if ((base == 16 && has_prefix('x', 'X')) || (base == 8 && has_prefix('o', 'O')) ||
      (base == 2 && has_prefix('b', 'B'))) {
    rest.remove_prefix(2);
  }
  std::int64_t value = 0;
  const char* end = rest.data() + rest.size();
  const auto [stop, error] = std::from_chars(rest.data(), end, value, base);
  if (error == std::errc::result_out_of_range) fail("A number is too large.");
  if (error != std::errc{} || stop != end || rest.starts_with('-')) return std::nullopt;
  return negative ? -value : value;
}

std::optional<double> parse_number(Run& run, const Text& text) {
  const std::string digits = without_underscores(run, text);
  std::string_view rest = digits;
  if (rest.starts_with('+') && !rest.starts_with("+-")) rest.remove_prefix(1);
  double value = 0;
  const char* end = rest.data() + rest.size();
  const auto [stop, error] = std::from_chars(rest.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

std::optional<std::int64_t> truncated(double value) {
  if (!(std::abs(value) < 9.2e18)) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

Value filter_int(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"default", "base"});
  const std::int64_t base = bound.integer(1, 10);
  if (base < 2 || base > 36) fail("The base of int is out of range.");
  const Value fallback = bound.value(0, std::int64_t{0});
  if (value.is<Undefined>()) fail("An undefined value is no number.");
  if (value.is_integer()) return value.integer();
  std::optional<double> number;
  if (value.is_number()) number = value.number();
  if (const Text* text = value.text()) {
    if (const auto integer = parse_integer(run, *text, static_cast<int>(base))) return *integer;
    number = parse_number(run, *text);
  }
  const auto integer = number ? truncated(*number) : std::nullopt;
  return integer ? Value(*integer) : fallback;
}

Value filter_float(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"default"});
  if (value.is<Undefined>()) fail("An undefined value is no number.");
  if (value.is_number()) return value.number();
  const auto number = value.text() == nullptr ? std::nullopt : parse_number(run, *value.text());
  return number ? Value(*number) : bound.value(0, 0.0);
}

Value filter_abs(Run& /*run*/, const Value& value, Given given) {
  const Bound none(given, {});
  if (!value.is_number()) fail("Only a number has an absolute value.");
  if (value.is<double>()) return std::abs(value.number());
  return value.integer() < 0 ? apply_sign('-', value) : Value(value.integer());
}

Value filter_round(Run& /*run*/, const Value& value, Given given) {
  const Bound bound(given, {"precision", "method"});
  if (!value.is_number()) fail("Only a number can be rounded.");
  const std::int64_t precision = bound.integer(0, 0);
  if (std::abs(precision) > 15) fail("The precision of round is too large.");
  const Text method = bound.text(1, "common");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = value.number() * scale;
  if (method.bytes() == "ceil") return std::ceil(scaled) / scale;
  if (method.bytes() == "floor") return std::floor(scaled) / scale;
  if (method.bytes() != "common") fail("There is no such way to round.");
  if (value.is_integer() && precision >= 0) return value.integer();
  const double rounded = std::nearbyint(scaled) / scale;  // halves to even, as Python
  const auto integer = value.is_integer() ? truncated(rounded) : std::nullopt;
  return integer ? Value(*integer) : Value(rounded);
}

Value filter_tojson(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii_only = bound.flag(0, false);
  style.sort_keys = bound.flag(3, false);
  if (const Value indent = bound.value(1); indent.text() != nullptr) {
    style.indent = std::string(indent.text()->bytes());
  } else if (!indent.is<None>()) {
    const auto width = static_cast<std::size_t>(std::max<std::int64_t>(bound.integer(1, 0), 0));
    run.fuel().make(width);
    style.indent = std::string(width, ' ');
  }
  if (style.indent) style.item_separator.resize(1);
  if (const Value separators = bound.value(2); !separators.is<None>()) {
    const std::vector<Value> both = elements(run.fuel(), separators);
    if (both.size() != 2 || both[0].text() == nullptr || both[1].text() == nullptr) {
      fail("The separators of JSON are two texts.");
    }
    style.item_separator = std::string(both[0].text()->bytes());
    style.key_separator = std::string(both[1].text()->bytes());
  }
  return to_json(run.fuel(), value, style);
}

Value filter_attr(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"name"}, 1);
  if (value.map() != nullptr && !find_key(run.fuel(), *value.map(), bound.text(0).bytes())) {
    return run.attribute(value, bound.text(0).bytes());
  }
  return value.map() != nullptr ? Value() : run.attribute(value, bound.text(0).bytes());
}

constexpr Filter kFilters[] = {
    {"default", filter_default}, {"d", filter_default},    {"string", filter_string},
    {"length", filter_length},   {"count", filter_length}, {"safe", filter_safe},
    {"escape", filter_escape},   {"e", filter_escape},     {"int", filter_int},
    {"float", filter_float},     {"abs", filter_abs},      {"round", filter_round},
    {"tojson", filter_tojson},   {"attr", filter_attr},    {"forceescape", filter_forceescape},
};

}  // namespace

std::span<const Filter> value_filters() { return kFilters; }

Value follow(Run& run, const Value& value, const Value* path) {
  if (path == nullptr || path->is<None>()) return value;
  if (path->is_integer()) return run.item(value, *path);
  if (path->text() == nullptr) fail("An attribute is a text or an integer.");
  Value at = value;
  std::string_view rest = path->text()->bytes();
  while (true) {
    const std::size_t end = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, end);
    std::int64_t index = 0;
    const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool number = error == std::errc{} && stop == part.data() + part.size() && index >= 0;
    at = run.item(at, number ? Value(index) : Value(Text(std::string(part), TextOrigin::kForeign)));
    if (end == rest.size()) return at;
    rest.remove_prefix(end + 1);
  }
}

const Filter* find_filter(std::string_view name) {
  for (const auto& table : {value_filters(), text_filters(), list_filters(), select_filters()}) {
    for (const Filter& entry : table) {
      if (entry.name == name) return &entry;
    }
  }
  return nullptr;
}

Value Run::filter(std::string_view name, const Value& value, const CallArguments& arguments) {
  const Depth depth(*this);
  if (const Filter* found = find_filter(name)) return found->apply(*this, value, arguments);
  fail("The chat template uses a filter that does not exist.");
}

}  // namespace quire::engine::jinja
