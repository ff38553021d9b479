#pragma once
// The parser: a template's source to its tree. Throws TemplateError with the line.
//
// A pure function. What reaches beyond the template (include, import, extends) does not exist.
// Cost: linear in the source; nesting is bounded by kMaxSyntaxDepth.

#include <string_view>

#include "engine/tokenizer/template/syntax.h"

namespace quire::engine::jinja {

[[nodiscard]] Block parse_template(std::string_view source);

}  // namespace quire::engine::jinja
