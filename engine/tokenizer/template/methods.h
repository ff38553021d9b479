#pragma once
// The methods of texts, lists and maps that templates may call: those of Python's str, list and
// dict that change nothing. All others do not exist.
//
// Pure tables and functions.

#include <optional>
#include <span>
#include <string_view>

#include "engine/tokenizer/template/run.h"

namespace quire::engine::jinja {

// The method's name as the table spells it (it lives for ever), if the value has it.
[[nodiscard]] std::optional<std::string_view> find_method(const Value& self, std::string_view name);
[[nodiscard]] Value call_method(Run& run, const Method& method, const CallArguments& arguments);

}  // namespace quire::engine::jinja
