#include "engine/tokenizer/template/methods.h"

#include <algorithm>

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/template/arguments.h"
#include "engine/tokenizer/template/format_braces.h"
#include "engine/tokenizer/template/operators.h"
#include "engine/tokenizer/template/text_form.h"
#include "engine/tokenizer/template/text_operations.h"

namespace quire::engine::jinja {
namespace {

using Given = const CallArguments&;
using Call = Value (*)(Run&, const Value& self, Given);

const Text& text_of(const Value& self) { return *self.text(); }

const Text* text_or_none(const Bound& bound, std::size_t i) {
  if (!bound.has(i) || bound[i]->is<None>()) return nullptr;
  if (bound[i]->text() == nullptr) fail("An argument must be a text.");
  return bound[i]->text();
}

template <bool kLeft, bool kRight>
Value strip_method(Run& run, const Value& self, Given given) {
  const Bound bound(given, {"chars"});
  return strip(run.fuel(), text_of(self), text_or_none(bound, 0), {kLeft, kRight});
}

template <bool kFromRight>
Value split_method(Run& run, const Value& self, Given given) {
  const Bound bound(given, {"sep", "maxsplit"});
  return make_list(run.fuel(), split(run.fuel(), text_of(self), text_or_none(bound, 0),
                                     bound.integer(1, -1), kFromRight));
}

template <LetterCase kCase>
Value case_method(Run& run, const Value& self, Given given) {
  const Bound none(given, {});
  return change_case(run.fuel(), text_of(self), kCase);
}

Value split_lines_method(Run& run, const Value& self, Given given) {
  const Bound bound(given, {"keepends"});
  return make_list(run.fuel(), split_lines(run.fuel(), text_of(self), bound.flag(0, false)));
}

// One text, or a tuple of them of which one must do.
template <bool kStart>
Value affix_method(Run& run, const Value& self, Given given) {
  const Bound bound(given, {"prefix"}, 1);
  const auto fits = [&](const Value& value) {
    if (value.text() == nullptr) fail("An argument must be a text.");
    run.fuel().read(value.text()->size());
    const std::string_view affix = value.text()->bytes();
    return kStart ? text_of(self).bytes().starts_with(affix)
                  : text_of(self).bytes().ends_with(affix);
  };
  const List* list = bound[0]->list();
  if (list == nullptr || list->kind != ListKind::kTuple) return fits(*bound[0]);
  return std::ranges::any_of(list->items, fits);
}

template <bool kStart>
Value remove_affix_method(Run& run, const Value& self, Given given) {
  const Text& text = text_of(self);
  const Bound bound(given, {"affix"}, 1);
  const std::size_t size = bound.text(0).size();
  if (!is_true(affix_method<kStart>(run, self, given))) return text;
  run.fuel().make(text.size());
  return kStart ? text.slice(size, text.size()) : text.slice(0, text.size() - size);
}

Value replace_method(Run& run, const Value& self, Given given) {
  const Bound bound(given, {"old", "new", "count"}, 2);
  return replace(run.fuel(), text_of(self), bound.text(0), bound.text(1), bound.integer(2, -1));
}

// The characters before a byte.
std::int64_t characters_before(std::string_view bytes, std::size_t end) {
  return std::ranges::count_if(
      bytes.substr(0, end), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

template <bool kFromRight, bool kMustBe>
Value find_method_call(Run& run, const Value& self, Given given) {
  const Bound bound(given, {"sub", "start", "end"}, 1);
  const Value part = slice(run.fuel(), self, bound.value(1), bound.value(2), None{});
  const std::string_view bytes = part.text()->bytes();
  const Text wanted = bound.text(0);
  run.fuel().read(bytes.size());
  const std::size_t at = kFromRight ? bytes.rfind(wanted.bytes()) : bytes.find(wanted.bytes());
  if (at == std::string_view::npos) {
    if (kMustBe) fail("The text was not found.");
    return std::int64_t{-1};
  }
  std::int64_t start = bound.has(1) && bound[1]->is_integer() ? bound[1]->integer() : 0;
  if (start < 0) start = std::max<std::int64_t>(0, start + length(run.fuel(), self));
  return start + characters_before(bytes, at);
}

Value count_method(Run& run, const Value& self, Given given) {
  const Bound bound(given, {"sub"}, 1);
  if (bound.text(0).empty()) return length(run.fuel(), self) + 1;
  const auto parts = split(run.fuel(), text_of(self), bound[0]->text(), -1, false);
  return static_cast<std::int64_t>(parts.size()) - 1;
}

Value join_method(Run& run, const Value& self, Given given) {
  const Bound bound(given, {"iterable"}, 1);
  std::vector<Text> parts;
  for (const Value& part : elements(run.fuel(), *bound[0])) {
    if (part.text() == nullptr) fail("Only texts can be joined.");
    parts.push_back(*part.text());
  }
  return join(run.fuel(), text_of(self), parts);
}

Value partition_method(Run& run, const Value& self, Given given) {
  const Bound bound(given, {"sep"}, 1);
  const Text separator = bound.text(0);
  const Text& text = text_of(self);
  if (separator.empty()) fail("A separator is empty.");
  run.fuel().read(text.size());
  run.fuel().make(text.size());
  const std::size_t at = text.bytes().find(separator.bytes());
  std::vector<Value> parts{text, Text(), Text()};
  if (at != std::string_view::npos) {
    parts = {text.slice(0, at), separator, text.slice(at + separator.size(), text.size())};
  }
  return make_list(run.fuel(), std::move(parts), ListKind::kTuple);
}

// Whether every character is of a kind.
template <bool (*kHolds)(char32_t)>
Value every_method(Run& run, const Value& self, Given given) {
  const Bound none(given, {});
  return every_character(run.fuel(), text_of(self), kHolds);
}
bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_letter(char32_t c) { return (char_class(c) & kLetter) != 0; }
bool is_letter_or_number(char32_t c) { return (char_class(c) & (kLetter | kNumber)) != 0; }

Value is_upper_method(Run& run, const Value& self, Given /*given*/) {
  return is_upper(run.fuel(), text_of(self));
}
Value is_lower_method(Run& run, const Value& self, Given /*given*/) {
  return is_lower(run.fuel(), text_of(self));
}

Value fill_zeros_method(Run& run, const Value& self, Given given) {
  const Bound bound(given, {"width"}, 1);
  const std::int64_t missing = bound.integer(0, 0) - length(run.fuel(), self);
  if (missing <= 0) return self;
  run.fuel().make(static_cast<std::size_t>(missing) + text_of(self).size());
  const Text& text = text_of(self);
  const std::size_t sign = text.bytes().starts_with('-') || text.bytes().starts_with('+') ? 1 : 0;
  TextBuilder builder;
  builder.add(text, 0, sign);
  builder.add(std::string(static_cast<std::size_t>(missing), '0'), TextOrigin::kForeign);
  builder.add(text, sign, text.size());
  return builder.take();
}

Value format_method(Run& run, const Value& self, Given given) {
  return format_braces(run, text_of(self), given);
}

Value index_method(Run& run, const Value& self, Given given) {
  const Bound bound(given, {"value"}, 1);
  const auto& items = self.list()->items;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (equal(run.fuel(), items[i], *bound[0])) return static_cast<std::int64_t>(i);
  }
  fail("The value was not found.");
}

Value count_items_method(Run& run, const Value& self, Given given) {
  const Bound bound(given, {"value"}, 1);
  return static_cast<std::int64_t>(std::ranges::count_if(
      self.list()->items, [&](const Value& item) { return equal(run.fuel(), item, *bound[0]); }));
}

Value copy_method(Run& /*run*/, const Value& self, Given /*given*/) { return self; }

Value get_method(Run& run, const Value& self, Given given) {
  if (!given.named.empty()) fail("get() takes no names.");
  const Bound bound(given, {"key", "default"}, 1);
  const Value* found = find_key(run.fuel(), *self.map(), *bound[0]);
  return found == nullptr ? bound.value(1) : *found;
}

enum class Part : std::uint8_t { kKeys, kValues, kItems };

template <Part kPart>
Value view_method(Run& run, const Value& self, Given given) {
  const Bound none(given, {});
  std::vector<Value> all;
  run.fuel().spend(self.map()->items.size());
  for (const auto& [key, value] : self.map()->items) {
    if (kPart == Part::kItems) {
      all.push_back(make_list(run.fuel(), {key, value}, ListKind::kTuple));
    } else {
      all.push_back(kPart == Part::kKeys ? key : value);
    }
  }
  return make_list(run.fuel(), std::move(all), ListKind::kView);
}

Value cycle_method(Run& /*run*/, const Value& self, Given given) {
  if (given.positional.empty()) fail("cycle() needs values.");
  const Loop& loop = **self.get<Loop*>();
  return given.positional[loop.index % given.positional.size()];
}

Value changed_method(Run& run, const Value& self, Given given) {
  Loop& loop = **self.get<Loop*>();
  Value now = make_list(run.fuel(), given.positional, ListKind::kTuple);
  const bool changed = !equal(run.fuel(), loop.changed, now);
  loop.changed = std::move(now);
  return changed;
}

struct Entry {
  std::string_view name;
  Call call;
};

constexpr Entry kTextMethods[] = {
    {"strip", strip_method<true, true>},
    {"lstrip", strip_method<true, false>},
    {"rstrip", strip_method<false, true>},
    {"split", split_method<false>},
    {"rsplit", split_method<true>},
    {"splitlines", split_lines_method},
    {"startswith", affix_method<true>},
    {"endswith", affix_method<false>},
    {"removeprefix", remove_affix_method<true>},
    {"removesuffix", remove_affix_method<false>},
    {"replace", replace_method},
    {"find", find_method_call<false, false>},
    {"rfind", find_method_call<true, false>},
    {"index", find_method_call<false, true>},
    {"rindex", find_method_call<true, true>},
    {"count", count_method},
    {"join", join_method},
    {"partition", partition_method},
    {"upper", case_method<LetterCase::kUpper>},
    {"lower", case_method<LetterCase::kLower>},
    {"casefold", case_method<LetterCase::kLower>},
    {"title", case_method<LetterCase::kTitle>},
    {"capitalize", case_method<LetterCase::kCapitalize>},
    {"swapcase", case_method<LetterCase::kSwap>},
    {"isdigit", every_method<is_digit>},
    {"isnumeric", every_method<is_digit>},
    {"isdecimal", every_method<is_digit>},
    {"isalpha", every_method<is_letter>},
    {"isalnum", every_method<is_letter_or_number>},
    {"isspace", every_method<is_space>},
    {"isupper", is_upper_method},
    {"islower", is_lower_method},
    {"zfill", fill_zeros_method},
    {"format", format_method},
};
constexpr Entry kListMethods[] = {
    {"index", index_method}, {"count", count_items_method}, {"copy", copy_method}};
constexpr Entry kMapMethods[] = {
    {"get", get_method},
    {"keys", view_method<Part::kKeys>},
    {"values", view_method<Part::kValues>},
    {"items", view_method<Part::kItems>},
    {"copy", copy_method},
};
constexpr Entry kLoopMethods[] = {{"cycle", cycle_method}, {"changed", changed_method}};

std::span<const Entry> table_of(const Value& self) {
  if (self.text() != nullptr) return kTextMethods;
  if (self.map() != nullptr) return kMapMethods;
  if (self.is<Loop*>()) return kLoopMethods;
  const List* list = self.list();
  if (list == nullptr || list->kind > ListKind::kTuple) return {};
  return kListMethods;
}

}  // namespace

std::optional<std::string_view> find_method(const Value& self, std::string_view name) {
  for (const Entry& entry : table_of(self)) {
    if (entry.name == name) return entry.name;
  }
  return std::nullopt;
}

Value call_method(Run& run, const Method& method, const CallArguments& arguments) {
  for (const Entry& entry : table_of(method.self)) {
    if (entry.name == method.name) return entry.call(run, method.self, arguments);
  }
  fail("There is no such method.");
}

}  // namespace quire::engine::jinja
