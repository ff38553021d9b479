// to_json(): json.dumps() as transformers' filter tojson calls it.

#include <algorithm>
#include <cmath>

#include "engine/tokenizer/template/text_form.h"
#include "engine/tokenizer/utf8.h"

namespace quire::engine::jinja {
namespace {

class JsonText final {
 public:
  JsonText(Fuel& fuel, const JsonStyle& style) : fuel_(fuel), style_(style) {}

  void add(const Value& value, int level) {
    fuel_.spend();
    if (const Text* text = value.text()) return add_text(*text);
    if (const Map* map = value.map()) return add_map(*map, level);
    if (const List* list = value.list(); list != nullptr && list->kind <= ListKind::kTuple) {
      return add_list(*list, level);
    }
    plain(scalar(value));
  }
  [[nodiscard]] Text take() { return builder_.take(); }

 private:
  void plain(std::string_view bytes) {
    fuel_.make(bytes.size());
    builder_.add(bytes, TextOrigin::kForeign);
  }

  static std::string scalar(const Value& value) {
    if (value.is<None>()) return "null";
    if (const bool* flag = value.get<bool>()) return *flag ? "true" : "false";
    if (value.is_integer()) return std::to_string(value.integer());
    if (!value.is_number()) fail("This value cannot be written as JSON.");
    const double number = value.number();
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return float_text(number);
  }

  void new_line(int level) {
    if (!style_.indent) return;
    plain("\n");
    fuel_.make(style_.indent->size() * static_cast<std::size_t>(level));
    for (int i = 0; i < level; ++i) builder_.add(*style_.indent, TextOrigin::kForeign);
  }

  void add_list(const List& list, int level) {
    if (list.items.empty()) return plain("[]");
    plain("[");
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) plain(style_.item_separator);
      new_line(level + 1);
      add(list.items[i], level + 1);
    }
    new_line(level);
    plain("]");
  }

  void add_map(const Map& map, int level) {
    if (map.items.empty()) return plain("{}");
    std::vector<const std::pair<Value, Value>*> items;
    items.reserve(map.items.size());
    for (const auto& item : map.items) items.push_back(&item);
    if (style_.sort_keys) {
      std::stable_sort(items.begin(), items.end(), [this](const auto* a, const auto* b) {
        return less(fuel_, a->first, b->first);
      });
    }
    plain("{");
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) plain(style_.item_separator);
      new_line(level + 1);
      add_key(items[i]->first);
      plain(style_.key_separator);
      add(items[i]->second, level + 1);
    }
    new_line(level);
    plain("}");
  }

  void add_key(const Value& key) {
    if (key.text() != nullptr) return add_text(*key.text());
    plain("\"");
    plain(scalar(key));
    plain("\"");
  }

  void add_text(const Text& text) {
    plain("\"");
    fuel_.make(text.size());
    const std::string_view bytes = text.bytes();
    std::size_t copied = 0;
    for (std::size_t at = 0; at < bytes.size();) {
      const CodePoint c = first_code_point(bytes.substr(at));
      if (const std::string escaped = escape(c.value); !escaped.empty()) {
        builder_.add(text, copied, at);
        fuel_.make(escaped.size());
        builder_.add_like(escaped, text, at);
        copied = at + c.length;
      }
      at += c.length;
    }
    builder_.add(text, copied, bytes.size());
    plain("\"");
  }

  static std::string unicode_escape(char32_t unit) {
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string out{'\\', 'u'};
    for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(unit >> shift) & 15];
    return out;
  }

  // Empty: the character stands for itself.
  [[nodiscard]] std::string escape(char32_t c) const {
    static constexpr std::string_view kFrom = "\"\\\n\r\t\f\b";
    static constexpr std::string_view kTo = "\"\\nrtfb";
    if (c < 0x80) {
      if (const std::size_t i = kFrom.find(static_cast<char>(c)); i != std::string_view::npos) {
        return {'\\', kTo[i]};
      }
      return c < 0x20 ? unicode_escape(c) : std::string();
    }
    if (!style_.ascii_only) return {};
    if (c < 0x10000) return unicode_escape(c);
    const char32_t high = 0xD800 + ((c - 0x10000) >> 10);
    return unicode_escape(high) + unicode_escape(0xDC00 + ((c - 0x10000) & 0x3FF));
  }

  Fuel& fuel_;
  const JsonStyle& style_;
  TextBuilder builder_;
};

}  // namespace

Text to_json(Fuel& fuel, const Value& value, const JsonStyle& style) {
  JsonText json(fuel, style);
  json.add(value, 0);
  return json.take();
}

}  // namespace quire::engine::jinja
