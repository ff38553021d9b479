#pragma once
// JsonWriter appends JSON to a string, keys in the order in which they are written, no DOM between.
//
// Lifetime: borrows the string, which outlives it. One thread.
// 1. What it writes is valid UTF-8 on one line: ill-formed bytes become U+FFFD, control characters
//    of ASCII are escaped, and so are U+0085, U+2028 and U+2029, at which many stream readers break
//    lines.
// 2. Numbers are finite: a non-finite one is written as kNoLogprob, the wire's word for minus
//    infinity.
// 3. The caller closes what it opens, and writes one value after each key.
// Cost: one pass over the text, no allocation beyond the string's growth.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace quire::proto {

inline constexpr float kNoLogprob = -9999.0f;

// Appends `text` with JSON escapes, without quotes, and stops before the character with which it
// would have appended more than `max_bytes`.
void append_escaped(std::string& out, std::string_view text,
                    std::size_t max_bytes = std::string::npos);

class JsonWriter final {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }

  JsonWriter& key(std::string_view name);
  JsonWriter& text(std::string_view value);
  // A text of which at most `max_bytes` are written, escapes included.
  JsonWriter& text_up_to(std::string_view value, std::size_t max_bytes);
  JsonWriter& integer(std::int64_t value);
  JsonWriter& number(float value);
  JsonWriter& null() { return raw("null"); }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& raw(std::string_view token);
  void separate();

  std::string& out_;
  bool comma_due_ = false;
};

}  // namespace quire::proto
