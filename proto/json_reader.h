#pragma once
// Strict reading of a JSON text from outside (RFC 8259), on nlohmann's event parser.
//
// Pure function; any thread. On top of what that parser refuses (syntax, ill-formed UTF-8, lone
// surrogates, 1e999) this refuses:
// 1. a key given twice in one object, at any depth (last-wins readers disagree about the meaning);
// 2. nesting deeper than kMaxJsonDepth (values are later destroyed and walked);
// 3. a byte order mark, and a NUL byte, which the parser takes for the end of the text;
// 4. more values than the budget, so that a body costs at most a known multiple of its size.
// An Error's param is the top-level key being read where it is one of `known_fields`, else empty:
// a client's own words are never echoed.
// Cost: linear in the text; numbers are 16 bytes each, see JsonBudget for the rest.

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string_view>

#include "proto/error.h"

namespace quire::proto {

// How many values a text may hold.
struct JsonBudget {
  // Numbers, booleans and nulls: room for 128 prompts of 32,768 token ids. 64 MiB.
  std::size_t scalars = std::size_t{1} << 22;
  // Strings, keys, arrays and objects, each an allocation of its own of about 100 bytes. 6 MiB.
  std::size_t nodes = std::size_t{1} << 16;
};

[[nodiscard]] Result<nlohmann::json> read_json(std::string_view text,
                                               std::span<const std::string_view> known_fields,
                                               const JsonBudget& budget = {});

// The same, and the text's value is an object.
[[nodiscard]] Result<nlohmann::json> read_json_object(
    std::string_view text, std::span<const std::string_view> known_fields,
    const JsonBudget& budget = {});

}  // namespace quire::proto
