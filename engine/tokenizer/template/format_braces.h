#pragma once
// Python's str.format(): fields {} {0} {name}, with a plain specification (width, alignment, d, f).
// Attributes and subscripts within fields do not exist.

#include "engine/tokenizer/template/run.h"

namespace quire::engine::jinja {

[[nodiscard]] Value format_braces(Run& run, const Text& pattern, const CallArguments& arguments);

}  // namespace quire::engine::jinja
