#include "engine/tokenizer/template/operators.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/tokenizer/template/text_form.h"

namespace quire::engine::jinja {
namespace {

[[noreturn]] void too_large() { fail("A number is too large."); }
[[noreturn]] void no_operation() { fail("These values do not have this operation."); }

Value concatenate(Fuel& fuel, const Text& a, const Text& b) {
  fuel.make(a.size() + b.size());
  TextBuilder builder;
  builder.add(a);
  builder.add(b);
  return builder.take();
}

Value add_texts(Fuel& fuel, const Text& a, const Text& b) {
  if (!a.is_markup() && !b.is_markup()) return concatenate(fuel, a, b);
  const Text left = a.is_markup() ? a : escape_html(fuel, a);
  const Text right = b.is_markup() ? b : escape_html(fuel, b);
  return concatenate(fuel, left, right).text()->as_markup(true);
}

Value add_lists(Fuel& fuel, const List& a, const List& b) {
  if (a.kind != b.kind || a.kind > ListKind::kTuple) no_operation();
  fuel.make((a.items.size() + b.items.size()) * sizeof(Value));
  std::vector<Value> items = a.items;
  items.insert(items.end(), b.items.begin(), b.items.end());
  return make_list(fuel, std::move(items), a.kind);
}

Value repeat(Fuel& fuel, const Value& value, std::int64_t times) {
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  if (const Text* text = value.text()) {
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(text->size(), count, &bytes)) too_large();
    fuel.make(bytes);
    TextBuilder builder;
    if (!text->empty()) {
      for (std::size_t i = 0; i < count; ++i) builder.add(*text);
    }
    return builder.take();
  }
  const List& list = *value.list();
  if (list.kind > ListKind::kTuple) no_operation();
  std::size_t size = 0;
  if (__builtin_mul_overflow(list.items.size(), count, &size)) too_large();
  fuel.spend(size);
  std::vector<Value> items;
  for (std::size_t i = 0; i < count && !list.items.empty(); ++i) {
    items.insert(items.end(), list.items.begin(), list.items.end());
  }
  return make_list(fuel, std::move(items), list.kind);
}

bool is_repeatable(const Value& value) {
  return value.text() != nullptr || value.list() != nullptr;
}

Value power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) fail("A division by zero.");
    return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  }
  std::int64_t result = 1;
  if (base == 0 || base == 1 || base == -1) {
    return exponent == 0 ? result : base == -1 && exponent % 2 == 0 ? std::int64_t{1} : base;
  }
  for (; exponent > 0; --exponent) {  // at most 63 rounds before it overflows
    if (__builtin_mul_overflow(result, base, &result)) too_large();
  }
  return result;
}

// Rounds towards minus infinity, as the sign of its remainder follows the divisor.
Value floor_divide(std::int64_t a, std::int64_t b) {
  if (b == 0) fail("A division by zero.");
  if (b == -1 && a == INT64_MIN) too_large();
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0);
}

Value modulo(std::int64_t a, std::int64_t b) {
  if (b == 0) fail("A division by zero.");
  if (b == -1) return std::int64_t{0};
  const std::int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Value divide(const Value& a, const Value& b) {
  if (b.number() == 0.0) fail("A division by zero.");
  return a.number() / b.number();
}

Value on_integers(Operator op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflows = false;
  switch (op) {
    case Operator::kAdd:
      overflows = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::kSubtract:
      overflows = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::kMultiply:
      overflows = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::kFloorDivide:
      return floor_divide(a, b);
    case Operator::kModulo:
      return modulo(a, b);
    default:
      return power(a, b);
  }
  if (overflows) too_large();
  return result;
}

Value on_numbers(Operator op, double a, double b) {
  switch (op) {
    case Operator::kAdd:
      return a + b;
    case Operator::kSubtract:
      return a - b;
    case Operator::kMultiply:
      return a * b;
    case Operator::kFloorDivide:
      if (b == 0.0) fail("A division by zero.");
      return std::floor(a / b);
    case Operator::kModulo: {
      if (b == 0.0) fail("A division by zero.");
      const double rest = std::fmod(a, b);
      return rest != 0.0 && (rest < 0.0) != (b < 0.0) ? rest + b : rest;
    }
    default:
      if (a < 0 && b != std::floor(b)) no_operation();
      return std::pow(a, b);
  }
}

struct Bounds {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t stride;
};

std::optional<std::int64_t> given(const Value& value) {
  if (value.is<None>()) return std::nullopt;
  if (!value.is_integer()) fail("The bounds of a slice must be integers.");
  return value.integer();
}

// As Python's slice.indices().
Bounds slice_bounds(std::int64_t size, const Value& begin, const Value& end, const Value& stride) {
  const std::int64_t step = given(stride).value_or(1);
  if (step == 0) fail("The stride of a slice is zero.");
  const std::int64_t least = step < 0 ? -1 : 0;
  const std::int64_t most = step < 0 ? size - 1 : size;
  const auto clip = [&](std::int64_t at) {
    if (at < 0) at = at < -size ? least : at + size;
    return std::clamp(at, least, most);
  };
  const auto first = given(begin);
  const auto last = given(end);
  return {.begin = first ? clip(*first) : (step < 0 ? most : least),
          .end = last ? clip(*last) : (step < 0 ? least : most),
          .stride = step};
}

// The positions of a slice, in order.
std::vector<std::size_t> positions(Fuel& fuel, const Bounds& bounds) {
  std::vector<std::size_t> all;
  const bool forward = bounds.stride > 0;
  for (std::int64_t at = bounds.begin; forward ? at < bounds.end : at > bounds.end;) {
    fuel.spend();
    all.push_back(static_cast<std::size_t>(at));
    if (__builtin_add_overflow(at, bounds.stride, &at)) break;
  }
  return all;
}

Value slice_text(Fuel& fuel, const Text& text, const Value& begin, const Value& end,
                 const Value& stride) {
  const std::vector<std::size_t> offsets = character_offsets(fuel, text);
  const auto size = static_cast<std::int64_t>(offsets.size() - 1);
  const Bounds bounds = slice_bounds(size, begin, end, stride);
  if (bounds.stride == 1) {
    const std::size_t from = offsets[static_cast<std::size_t>(bounds.begin)];
    const std::size_t to = offsets[static_cast<std::size_t>(std::max(bounds.begin, bounds.end))];
    fuel.make(to - from);
    return text.slice(from, to);
  }
  fuel.make(text.size());
  TextBuilder builder;
  for (const std::size_t at : positions(fuel, bounds)) {
    builder.add(text, offsets[at], offsets[at + 1]);
  }
  return builder.take();
}

}  // namespace

std::vector<std::size_t> character_offsets(Fuel& fuel, const Text& text) {
  fuel.read(text.size());
  fuel.make(text.size());
  std::vector<std::size_t> offsets;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text.bytes()[i]) & 0xC0) != 0x80) offsets.push_back(i);
  }
  offsets.push_back(text.size());
  return offsets;
}

Value apply(Fuel& fuel, Operator op, const Value& a, const Value& b) {
  fuel.spend();
  if (op == Operator::kConcatenate) {
    const Text left = to_text(fuel, a);
    return concatenate(fuel, left, to_text(fuel, b));
  }
  if (a.is_number() && b.is_number()) {
    if (op == Operator::kDivide) return divide(a, b);
    if (a.is_integer() && b.is_integer()) return on_integers(op, a.integer(), b.integer());
    return on_numbers(op, a.number(), b.number());
  }
  if (op == Operator::kAdd && a.text() != nullptr && b.text() != nullptr) {
    return add_texts(fuel, *a.text(), *b.text());
  }
  if (op == Operator::kAdd && a.list() != nullptr && b.list() != nullptr) {
    return add_lists(fuel, *a.list(), *b.list());
  }
  if (op == Operator::kMultiply && is_repeatable(a) && b.is_integer()) {
    return repeat(fuel, a, b.integer());
  }
  if (op == Operator::kMultiply && is_repeatable(b) && a.is_integer()) {
    return repeat(fuel, b, a.integer());
  }
  if (op == Operator::kModulo && a.text() != nullptr) return format_percent(fuel, *a.text(), b);
  no_operation();
}

bool contains(Fuel& fuel, const Value& container, const Value& value) {
  if (const Text* text = container.text()) {
    if (value.text() == nullptr) fail("Only a text can be in a text.");
    fuel.read(text->size());
    return text->bytes().find(value.text()->bytes()) != std::string_view::npos;
  }
  if (const Map* map = container.map()) return find_key(fuel, *map, value) != nullptr;
  const std::vector<Value> items = elements(fuel, container);
  return std::ranges::any_of(items, [&](const Value& item) { return equal(fuel, item, value); });
}

bool compare(Fuel& fuel, Operator op, const Value& a, const Value& b) {
  switch (op) {
    case Operator::kEqual:
      return equal(fuel, a, b);
    case Operator::kNotEqual:
      return !equal(fuel, a, b);
    case Operator::kLess:
      return less(fuel, a, b);
    case Operator::kLessOrEqual:
      return less(fuel, a, b) || equal(fuel, a, b);
    case Operator::kGreater:
      return less(fuel, b, a);
    case Operator::kGreaterOrEqual:
      return less(fuel, b, a) || equal(fuel, a, b);
    case Operator::kIn:
      return contains(fuel, b, a);
    default:
      return !contains(fuel, b, a);
  }
}

Value apply_sign(char sign, const Value& value) {
  if (!value.is_number()) no_operation();
  if (value.is<double>()) return sign == '-' ? -value.number() : value.number();
  return sign == '-' ? on_integers(Operator::kSubtract, 0, value.integer()) : value.integer();
}

Value element_at(Fuel& fuel, const Value& value, std::int64_t index) {
  const auto at = [index](std::size_t size) -> std::optional<std::size_t> {
    const auto count = static_cast<std::int64_t>(size);
    const std::int64_t i = index < 0 ? index + count : index;
    if (i < 0 || i >= count) return std::nullopt;
    return static_cast<std::size_t>(i);
  };
  if (const List* list = value.list(); list != nullptr && list->kind <= ListKind::kTuple) {
    const auto i = at(list->items.size());
    return i ? list->items[*i] : Value();
  }
  const Text* text = value.text();
  if (text == nullptr) return {};
  const std::vector<std::size_t> offsets = character_offsets(fuel, *text);
  const auto i = at(offsets.size() - 1);
  return i ? Value(text->slice(offsets[*i], offsets[*i + 1])) : Value();
}

Value slice(Fuel& fuel, const Value& value, const Value& begin, const Value& end,
            const Value& stride) {
  if (value.text() != nullptr) return slice_text(fuel, *value.text(), begin, end, stride);
  const List* list = value.list();
  if (list == nullptr || list->kind > ListKind::kTuple) no_operation();
  std::vector<Value> items;
  const auto size = static_cast<std::int64_t>(list->items.size());
  for (const std::size_t at : positions(fuel, slice_bounds(size, begin, end, stride))) {
    items.push_back(list->items[at]);
  }
  return make_list(fuel, std::move(items), list->kind);
}

Text escape_html(Fuel& fuel, const Text& text) {
  static constexpr std::string_view kFrom = "&<>'\"";
  static constexpr std::string_view kTo[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
  fuel.make(text.size() * 5);
  TextBuilder builder;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::size_t i = kFrom.find(text.bytes()[at]);
    if (i == std::string_view::npos) {
      builder.add(text, at, at + 1);
    } else {
      builder.add_like(kTo[i], text, at);
    }
  }
  return builder.take().as_markup(true);
}

}  // namespace quire::engine::jinja
