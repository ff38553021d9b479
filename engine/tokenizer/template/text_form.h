#pragma once
// How values are written: str(), repr() and json.dumps() of Python, byte for byte.
//
// Pure functions; they charge for what they make. Text keeps its origin, quotes and numbers are
// foreign: only literals of the template can make special tokens.

#include <optional>
#include <string>

#include "engine/tokenizer/template/value.h"

namespace quire::engine::jinja {

// str(). Fails on what Python would write with an address.
[[nodiscard]] Text to_text(Fuel& fuel, const Value& value);
// repr().
[[nodiscard]] Text represent(Fuel& fuel, const Value& value);

// repr(float): the shortest digits that read back as the same number.
[[nodiscard]] std::string float_text(double value);

struct JsonStyle {
  bool ascii_only = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // absent: on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
[[nodiscard]] Text to_json(Fuel& fuel, const Value& value, const JsonStyle& style);

}  // namespace quire::engine::jinja
