#include "proto/json_writer.h"

#include <array>
#include <charconv>
#include <cmath>

#include "proto/check.h"
#include "proto/utf8.h"

namespace quire::proto {
namespace {

bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\';
}

// The spelling of a character that is not plain ASCII: an escape, or its own bytes.
class Spelling final {
 public:
  explicit Spelling(std::string_view rest) {
    consumed_ = utf8_front(rest);
    if (consumed_ == 0) {
      consumed_ = 1;
      set("\xEF\xBF\xBD");
    } else if (consumed_ == 1) {
      set_ascii(rest[0]);
    } else {
      set_wide(rest.substr(0, consumed_));
    }
  }
  [[nodiscard]] std::size_t consumed() const { return consumed_; }
  [[nodiscard]] std::string_view bytes() const { return {bytes_.data(), size_}; }

 private:
  void set(std::string_view bytes) { size_ = bytes.copy(bytes_.data(), bytes_.size()); }

  void set_ascii(char c) {
    switch (c) {
      case '"':
        return set("\\\"");
      case '\\':
        return set("\\\\");
      case '\n':
        return set("\\n");
      case '\r':
        return set("\\r");
      case '\t':
        return set("\\t");
      case '\b':
        return set("\\b");
      case '\f':
        return set("\\f");
      default:
        break;
    }
    constexpr std::string_view kHex = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    set("\\u00");
    bytes_[size_++] = kHex[byte >> 4];
    bytes_[size_++] = kHex[byte & 15];
  }

  void set_wide(std::string_view character) {
    if (character == "\xC2\x85") return set("\\u0085");
    if (character == "\xE2\x80\xA8") return set("\\u2028");
    if (character == "\xE2\x80\xA9") return set("\\u2029");
    set(character);
  }

  std::array<char, 8> bytes_{};
  std::size_t size_ = 0;
  std::size_t consumed_ = 0;
};

template <typename Number>
void append_number(std::string& out, Number value) {
  std::array<char, 32> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  CHECK(error == std::errc{});
  out.append(digits.data(), end);
}

}  // namespace

void append_escaped(std::string& out, std::string_view text, std::size_t max_bytes) {
  std::size_t room = max_bytes;
  while (!text.empty()) {
    std::size_t plain = 0;
    while (plain < text.size() && plain < room && is_plain(text[plain])) ++plain;
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    room -= plain;
    if (text.empty()) return;
    if (room == 0) return;
    const Spelling spelling(text);
    if (spelling.bytes().size() > room) return;
    out.append(spelling.bytes());
    text.remove_prefix(spelling.consumed());
    room -= spelling.bytes().size();
  }
}

JsonWriter& JsonWriter::key(std::string_view name) {
  text(name);
  out_ += ':';
  comma_due_ = false;
  return *this;
}

JsonWriter& JsonWriter::text(std::string_view value) {
  return text_up_to(value, std::string::npos);
}

JsonWriter& JsonWriter::text_up_to(std::string_view value, std::size_t max_bytes) {
  separate();
  out_ += '"';
  append_escaped(out_, value, max_bytes);
  out_ += '"';
  return *this;
}

JsonWriter& JsonWriter::integer(std::int64_t value) {
  separate();
  append_number(out_, value);
  return *this;
}

JsonWriter& JsonWriter::number(float value) {
  separate();
  if (!std::isfinite(value)) value = kNoLogprob;
  const std::size_t start = out_.size();
  append_number(out_, value);
  // Typed clients tell integers from numbers by their spelling.
  if (out_.find_first_of(".e", start) == std::string::npos) out_ += ".0";
  return *this;
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  out_ += bracket;
  comma_due_ = false;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  out_ += bracket;
  comma_due_ = true;
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view token) {
  separate();
  out_ += token;
  return *this;
}

void JsonWriter::separate() {
  if (comma_due_) out_ += ',';
  comma_due_ = true;
}

}  // namespace quire::proto
