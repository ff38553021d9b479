#pragma once
// Where a stretch of a prompt comes from: written by the model's own template, or by somebody else.
//
// Plain values. A list of runs covers a text from its start to its end: ends ascend, neighbours
// differ. An empty list says that the text is foreign altogether.

#include <cstddef>
#include <cstdint>

namespace quire::engine {

enum class TextOrigin : std::uint8_t {
  kForeign,   // a client's or the server's words: never a special token
  kTemplate,  // a literal of the template, a special token's name from the tokenizer's file, or a
              // message's role that is one of the usual words
};

struct TextRun {
  std::size_t end = 0;  // one past its last byte
  TextOrigin origin = TextOrigin::kForeign;
  friend bool operator==(const TextRun&, const TextRun&) = default;
};

}  // namespace quire::engine
