#pragma once
// The functions that every template has: range, namespace, dict, raise_exception, strftime_now.
//
// Pure tables and functions.

#include <optional>
#include <string_view>

#include "engine/tokenizer/template/run.h"

namespace quire::engine::jinja {

[[nodiscard]] std::optional<Function> find_function(std::string_view name);
[[nodiscard]] Value call_function(Run& run, Function function, const CallArguments& arguments);

}  // namespace quire::engine::jinja
