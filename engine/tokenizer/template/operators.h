#pragma once
// The operators of expressions, with Python's meaning.
//
// Pure functions; they charge for what they make and fail on values that do not have the operation.
// 1. Integers are 64 bits: what does not fit fails (Python's grow).

#include "engine/tokenizer/template/syntax.h"
#include "engine/tokenizer/template/value.h"

namespace quire::engine::jinja {

// kAdd to kConcatenate.
[[nodiscard]] Value apply(Fuel& fuel, Operator op, const Value& a, const Value& b);
// kEqual to kNotIn.
[[nodiscard]] bool compare(Fuel& fuel, Operator op, const Value& a, const Value& b);
[[nodiscard]] Value apply_sign(char sign, const Value& value);
[[nodiscard]] bool contains(Fuel& fuel, const Value& container, const Value& value);

// value[index] of a list, tuple or text; Undefined where there is none.
[[nodiscard]] Value element_at(Fuel& fuel, const Value& value, std::int64_t index);
// value[begin:end:stride]; None for what is not given.
[[nodiscard]] Value slice(Fuel& fuel, const Value& value, const Value& begin, const Value& end,
                          const Value& stride);

// `template % values` of texts: %s, %r, %d, %i, %f, %x, %% with width, precision and names.
[[nodiscard]] Value format_percent(Fuel& fuel, const Text& pattern, const Value& values);
// <, >, &, ' and " as HTML writes them.
[[nodiscard]] Text escape_html(Fuel& fuel, const Text& text);
// Byte offset of each character of `text`, and its size.
[[nodiscard]] std::vector<std::size_t> character_offsets(Fuel& fuel, const Text& text);

}  // namespace quire::engine::jinja
