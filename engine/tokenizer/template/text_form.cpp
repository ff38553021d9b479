#include "engine/tokenizer/template/text_form.h"

#include <utf8proc.h>

#include <array>
#include <charconv>
#include <cmath>

#include "engine/tokenizer/utf8.h"

namespace quire::engine::jinja {
namespace {

constexpr TextOrigin kForeign = TextOrigin::kForeign;

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category != UTF8PROC_CATEGORY_CN &&
         (category < UTF8PROC_CATEGORY_ZS || category > UTF8PROC_CATEGORY_CO);
}

std::string hex_escape(char32_t c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const int digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
  std::string out = c < 0x100 ? "\\x" : c < 0x10000 ? "\\u" : "\\U";
  for (int i = digits - 1; i >= 0; --i) out += kHex[(c >> (4 * i)) & 15];
  return out;
}

class Representation final {
 public:
  explicit Representation(Fuel& fuel) : fuel_(fuel) {}

  void add(const Value& value) {
    fuel_.spend();
    if (const Text* text = value.text()) return add_text(*text);
    if (const List* list = value.list()) return add_list(*list);
    if (const Map* map = value.map()) return add_map(*map);
    if (value.is<Undefined>()) return plain("Undefined");
    return builder_.add(to_text(fuel_, value));
  }
  [[nodiscard]] Text take() { return builder_.take(); }

 private:
  void plain(std::string_view bytes) {
    fuel_.make(bytes.size());
    builder_.add(bytes, kForeign);
  }

  void add_text(const Text& text) {
    fuel_.make(text.size());
    const std::string_view bytes = text.bytes();
    const bool has_single = bytes.find('\'') != std::string_view::npos;
    const char quote = has_single && bytes.find('"') == std::string_view::npos ? '"' : '\'';
    plain(std::string_view(&quote, 1));
    std::size_t length = 0;
    for (std::size_t at = 0; at < bytes.size(); at += length) {
      const CodePoint c = first_code_point(bytes.substr(at));
      length = c.length;
      add_character(text, at, c, quote);
    }
    plain(std::string_view(&quote, 1));
  }

  void add_character(const Text& text, std::size_t at, CodePoint c, char quote) {
    switch (c.value) {
      case '\n':
        return escape("\\n", text, at);
      case '\r':
        return escape("\\r", text, at);
      case '\t':
        return escape("\\t", text, at);
      case '\\':
        return escape("\\\\", text, at);
      default:
        break;
    }
    if (c.value == static_cast<char32_t>(quote)) return escape("\\'", text, at);
    if (is_printable(c.value)) return builder_.add(text, at, at + c.length);
    escape(hex_escape(c.value), text, at);
  }

  void escape(std::string_view bytes, const Text& text, std::size_t at) {
    fuel_.make(bytes.size());
    builder_.add_like(bytes, text, at);
  }

  void add_list(const List& list) {
    if (list.kind > ListKind::kTuple) fail("A generator cannot be written.");
    const bool tuple = list.kind == ListKind::kTuple;
    plain(tuple ? "(" : "[");
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) plain(", ");
      add(list.items[i]);
    }
    if (tuple && list.items.size() == 1) plain(",");
    plain(tuple ? ")" : "]");
  }

  void add_map(const Map& map) {
    plain("{");
    for (std::size_t i = 0; i < map.items.size(); ++i) {
      if (i > 0) plain(", ");
      add(map.items[i].first);
      plain(": ");
      add(map.items[i].second);
    }
    plain("}");
  }

  Fuel& fuel_;
  TextBuilder builder_;
};

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                          std::chars_format::scientific);
  const std::string_view text(buffer.data(), end);
  const std::size_t e = text.find('e');
  const int exponent = std::stoi(std::string(text.substr(e + 1)));
  if (exponent < -4 || exponent >= 16) return std::string(text);
  const auto fixed =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  std::string out(buffer.data(), fixed.ptr);
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

Text represent(Fuel& fuel, const Value& value) {
  Representation representation(fuel);
  representation.add(value);
  return representation.take();
}

Text to_text(Fuel& fuel, const Value& value) {
  if (const Text* text = value.text()) return *text;
  if (value.is<Undefined>()) return {};
  if (value.is<None>()) return Text("None", kForeign);
  if (const bool* flag = value.get<bool>()) return Text(*flag ? "True" : "False", kForeign);
  if (value.is_integer()) return Text(std::to_string(value.integer()), kForeign);
  if (value.is_number()) return Text(float_text(value.number()), kForeign);
  if (value.list() != nullptr || value.map() != nullptr) return represent(fuel, value);
  fail("This value cannot be written.");
}

}  // namespace quire::engine::jinja
