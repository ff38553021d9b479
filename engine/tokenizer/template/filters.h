#pragma once
// The tables of filters, by what they work on. Run::filter() looks names up in all of them.

#include <span>
#include <string_view>

#include "engine/tokenizer/template/run.h"

namespace quire::engine::jinja {

struct Filter {
  std::string_view name;
  Value (*apply)(Run& run, const Value& value, const CallArguments& arguments);
};

[[nodiscard]] std::span<const Filter> text_filters();    // text_filters.cpp
[[nodiscard]] std::span<const Filter> list_filters();    // list_filters.cpp
[[nodiscard]] std::span<const Filter> select_filters();  // select_filters.cpp
[[nodiscard]] std::span<const Filter> value_filters();   // filters.cpp

// Null: there is no such filter.
[[nodiscard]] const Filter* find_filter(std::string_view name);

// item, or item.a.b as `attribute` says; the value itself where it is absent. Integers within the
// path are indices.
[[nodiscard]] Value follow(Run& run, const Value& value, const Value* path);

}  // namespace quire::engine::jinja
