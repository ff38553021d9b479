#pragma once
// SplitPattern: the regular expressions by which tokenizers cut text into pieces before merging,
// each as a hand-written scanner. A general regex engine backtracks, and recursive ones overflow
// the stack on long runs; these look at each character a bounded number of times.
//
// Pure functions; any thread.
// 1. The pieces are those of the regex in Oniguruma with findall, and they cover the text.
// 2. Bounded stack, no allocation, O(bytes) over a whole text.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace quire::engine {

enum class SplitPattern : std::uint8_t { kGpt2, kLlama3, kQwen2 };

// The pattern that this regular expression is, if it is one of ours.
[[nodiscard]] std::optional<SplitPattern> recognise_split_pattern(std::string_view regex);

// The length in bytes, at least 1, of the first piece of `text` (valid UTF-8, not empty).
[[nodiscard]] std::size_t first_piece(SplitPattern pattern, std::string_view text);

}  // namespace quire::engine
