#pragma once
// Unicode normalization forms, in linear memory and near-linear time on any text: utf8proc's own
// driver orders combining marks by insertion, which is quadratic in the length of a run of them.
//
// Pure function; any thread. Decompositions that entered Unicode after the tables of the
// `tokenizers` package are left alone, as it does.

#include <cstdint>
#include <string>
#include <string_view>

namespace quire::engine {

enum class UnicodeForm : std::uint8_t { kNfc, kNfd, kNfkc, kNfkd };

// Appends the normalized form of `text` (valid UTF-8).
void append_normalized(std::string_view text, UnicodeForm form, std::string& out);

}  // namespace quire::engine
