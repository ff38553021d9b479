// Filters on texts. What is no text is written as one first, as jinja2 does.

#include <algorithm>

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/template/arguments.h"
#include "engine/tokenizer/template/filters.h"
#include "engine/tokenizer/template/operators.h"
#include "engine/tokenizer/template/text_form.h"
#include "engine/tokenizer/template/text_operations.h"

namespace quire::engine::jinja {
namespace {

using Given = const CallArguments&;

Value filter_trim(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"chars"});
  const Text* chars = bound.has(0) ? bound[0]->text() : nullptr;
  return strip(run.fuel(), to_text(run.fuel(), value), chars, {});
}

template <LetterCase kCase>
Value filter_case(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  return change_case(run.fuel(), to_text(run.fuel(), value), kCase);
}

Value filter_title(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  return title_words(run.fuel(), to_text(run.fuel(), value));
}

Value filter_replace(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"old", "new", "count"}, 2);
  const std::int64_t most = bound.has(2) && !bound[2]->is<None>() ? bound.integer(2, -1) : -1;
  return replace(run.fuel(), to_text(run.fuel(), value), to_text(run.fuel(), *bound[0]),
                 to_text(run.fuel(), *bound[1]), most);
}

// Every line but the first and the empty ones, unless told otherwise.
Value filter_indent(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"width", "first", "blank"});
  Fuel& fuel = run.fuel();
  Text margin;
  if (bound.has(0) && bound[0]->text() != nullptr) {
    margin = *bound[0]->text();
  } else {
    const std::int64_t width = std::max<std::int64_t>(bound.integer(0, 4), 0);
    fuel.make(static_cast<std::size_t>(width));
    margin = Text(std::string(static_cast<std::size_t>(width), ' '), TextOrigin::kTemplate);
  }
  if (value.text() == nullptr) fail("Only a text can be indented.");
  const Text& text = *value.text();
  const Text line_break("\n", TextOrigin::kTemplate);
  TextBuilder ended;
  fuel.make(text.size() + 1);
  ended.add(text);
  ended.add(line_break);
  const std::vector<Value> lines = split_lines(fuel, ended.take(), false);
  TextBuilder builder;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Text& line = *lines[i].text();
    const bool indented = i == 0 ? bound.flag(1, false) : !line.empty() || bound.flag(2, false);
    fuel.make(line.size() + 1 + (indented ? margin.size() : 0));
    if (i > 0) builder.add(line_break);
    if (indented) builder.add(margin);
    builder.add(line);
  }
  return builder.take();
}

Value filter_center(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"width"});
  const Text text = to_text(run.fuel(), value);
  const std::int64_t size = length(run.fuel(), text);
  const std::int64_t width = bound.integer(0, 80);
  if (width <= size) return text;
  run.fuel().make(static_cast<std::size_t>(width) + text.size());
  const std::int64_t all = width - size;
  const std::int64_t left = all / 2 + (all & width & 1);  // as str.center()
  TextBuilder builder;
  builder.add(std::string(static_cast<std::size_t>(left), ' '), TextOrigin::kTemplate);
  builder.add(text);
  builder.add(std::string(static_cast<std::size_t>(all - left), ' '), TextOrigin::kTemplate);
  return builder.take();
}

Value filter_truncate(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"length", "killwords", "end", "leeway"});
  Fuel& fuel = run.fuel();
  const Text text = to_text(fuel, value);
  const Text end = bound.text(2, "...");
  const std::int64_t most = bound.integer(0, 255);
  const std::int64_t room = most - length(fuel, end);
  const std::int64_t leeway = bound.integer(3, 5);
  if (room < 0 || leeway < 0) fail("The length of truncate is too small.");
  if (length(fuel, text) <= most + leeway) return text;
  Value head = slice(fuel, text, None{}, room, None{});
  if (!bound.flag(1, false)) {
    const Text space(" ", TextOrigin::kTemplate);
    head = split(fuel, *head.text(), &space, 1, true).front();
  }
  return apply(fuel, Operator::kConcatenate, head, end);
}

Value filter_wordcount(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  std::int64_t words = 0;
  bool in_word = false;
  (void)every_character(run.fuel(), to_text(run.fuel(), value), [&](char32_t c) {
    const bool letter = is_word_character(c);
    if (letter && !in_word) ++words;
    in_word = letter;
    return true;
  });
  return words;
}

Value filter_format(Run& run, const Value& value, Given given) {
  Fuel& fuel = run.fuel();
  const Text pattern = to_text(fuel, value);
  if (given.named.empty()) {
    return format_percent(fuel, pattern, make_list(fuel, given.positional, ListKind::kTuple));
  }
  std::vector<std::pair<Value, Value>> names;
  names.reserve(given.named.size());
  for (const auto& [name, named] : given.named) {
    names.emplace_back(Text(name, TextOrigin::kTemplate), named);
  }
  return format_percent(fuel, pattern, make_map(fuel, std::move(names)));
}

constexpr Filter kFilters[] = {
    {"trim", filter_trim},
    {"upper", filter_case<LetterCase::kUpper>},
    {"lower", filter_case<LetterCase::kLower>},
    {"capitalize", filter_case<LetterCase::kCapitalize>},
    {"title", filter_title},
    {"replace", filter_replace},
    {"indent", filter_indent},
    {"center", filter_center},
    {"truncate", filter_truncate},
    {"wordcount", filter_wordcount},
    {"format", filter_format},
};

}  // namespace

std::span<const Filter> text_filters() { return kFilters; }

}  // namespace quire::engine::jinja
