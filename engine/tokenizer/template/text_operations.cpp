#include "engine/tokenizer/template/text_operations.h"

#include <algorithm>

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/utf8.h"

namespace quire::engine::jinja {
namespace {

bool ends_line(char32_t c) {
  return (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

void add_part(Fuel& fuel, const Text& text, std::size_t begin, std::size_t end,
              std::vector<Value>& parts) {
  fuel.spend();
  fuel.make(end - begin + sizeof(Value));
  parts.emplace_back(text.slice(begin, end));
}

bool within(const std::vector<Value>& parts, std::int64_t most) {
  return most < 0 || static_cast<std::int64_t>(parts.size()) < most;
}

std::vector<Value> split_at_space(Fuel& fuel, const Text& text, std::int64_t most) {
  const std::string_view bytes = text.bytes();
  std::vector<Value> parts;
  std::size_t begin = 0;
  bool in_word = false;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint c = first_code_point(bytes.substr(at));
    const bool space = is_space(c.value);
    if (!space && !in_word) {
      begin = at;
      in_word = true;
      if (!within(parts, most)) break;  // the rest is one part
    } else if (space && in_word) {
      add_part(fuel, text, begin, at, parts);
      in_word = false;
    }
    at += c.length;
  }
  if (!in_word) return parts;
  add_part(fuel, text, begin, text.size(), parts);
  return parts;
}

std::vector<Value> split_at_space_from_right(Fuel& fuel, const Text& text, std::int64_t most) {
  std::vector<Value> parts;
  std::size_t end = text.size();
  while (true) {
    const Text head = strip(fuel, text.slice(0, end), nullptr, {.left = false});
    if (head.empty()) break;
    if (!within(parts, most)) {
      parts.emplace_back(head);
      break;
    }
    std::size_t begin = head.size();
    while (begin > 0) {
      const CodePoint c = last_code_point(head.bytes().substr(0, begin));
      if (is_space(c.value)) break;
      begin -= c.length;
    }
    fuel.read(end);
    add_part(fuel, head, begin, head.size(), parts);
    end = begin;
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<Value> split_at(Fuel& fuel, const Text& text, std::string_view separator,
                            std::int64_t most) {
  std::vector<Value> parts;
  std::size_t begin = 0;
  while (within(parts, most)) {
    const std::size_t end = text.bytes().find(separator, begin);
    if (end == std::string_view::npos) break;
    add_part(fuel, text, begin, end, parts);
    begin = end + separator.size();
  }
  add_part(fuel, text, begin, text.size(), parts);
  return parts;
}

std::vector<Value> split_at_from_right(Fuel& fuel, const Text& text, std::string_view separator,
                                       std::int64_t most) {
  std::vector<Value> parts;
  std::size_t end = text.size();
  while (within(parts, most)) {
    const std::size_t begin = text.bytes().substr(0, end).rfind(separator);
    if (begin == std::string_view::npos) break;
    add_part(fuel, text, begin + separator.size(), end, parts);
    end = begin;
  }
  add_part(fuel, text, 0, end, parts);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace

bool is_space(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

bool every_character(Fuel& fuel, const Text& text, const std::function<bool(char32_t)>& holds) {
  fuel.read(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = first_code_point(text.bytes().substr(at));
    if (!holds(c.value)) return false;
    at += c.length;
  }
  return !text.empty();
}

Text strip(Fuel& fuel, const Text& text, const Text* chars, Ends ends) {
  const std::string_view bytes = text.bytes();
  fuel.read(text.size());
  const auto goes = [&](std::size_t at, CodePoint c) {
    if (chars == nullptr) return is_space(c.value);
    fuel.read(chars->size());
    return chars->bytes().find(bytes.substr(at, c.length)) != std::string_view::npos;
  };
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  while (ends.left && begin < end) {
    const CodePoint c = first_code_point(bytes.substr(begin));
    if (!goes(begin, c)) break;
    begin += c.length;
  }
  while (ends.right && end > begin) {
    const CodePoint c = last_code_point(bytes.substr(begin, end - begin));
    if (!goes(end - c.length, c)) break;
    end -= c.length;
  }
  if (begin != 0 || end != bytes.size()) fuel.make(end - begin);
  return text.slice(begin, end);
}

std::vector<Value> split(Fuel& fuel, const Text& text, const Text* separator, std::int64_t most,
                         bool from_right) {
  fuel.read(text.size());
  if (separator == nullptr) {
    return from_right ? split_at_space_from_right(fuel, text, most)
                      : split_at_space(fuel, text, most);
  }
  if (separator->empty()) fail("A separator is empty.");
  return from_right ? split_at_from_right(fuel, text, separator->bytes(), most)
                    : split_at(fuel, text, separator->bytes(), most);
}

std::vector<Value> split_lines(Fuel& fuel, const Text& text, bool keep_ends) {
  const std::string_view bytes = text.bytes();
  fuel.read(bytes.size());
  std::vector<Value> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint c = first_code_point(bytes.substr(at));
    std::size_t next = at + c.length;
    if (ends_line(c.value)) {
      if (c.value == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
      add_part(fuel, text, begin, keep_ends ? next : at, lines);
      begin = next;
    }
    at = next;
  }
  if (begin < bytes.size()) add_part(fuel, text, begin, bytes.size(), lines);
  return lines;
}

Text replace(Fuel& fuel, const Text& text, const Text& from, const Text& to, std::int64_t most) {
  fuel.read(text.size());
  fuel.make(text.size());
  const std::string_view bytes = text.bytes();
  TextBuilder builder;
  std::size_t at = 0;
  for (; most != 0; --most) {
    std::size_t found = at;
    if (!from.empty()) found = bytes.find(from.bytes(), at);
    if (found == std::string_view::npos) break;
    builder.add(text, at, found);
    fuel.spend();
    fuel.make(to.size());
    builder.add(to);
    at = found + from.size();
    if (!from.empty()) continue;
    if (at >= bytes.size()) break;
    const std::size_t next = at + first_code_point(bytes.substr(at)).length;
    builder.add(text, at, next);
    at = next;
  }
  builder.add(text, at, bytes.size());
  return builder.take();
}

Text join(Fuel& fuel, const Text& separator, const std::vector<Text>& parts) {
  TextBuilder builder;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    fuel.spend();
    fuel.make(parts[i].size() + (i > 0 ? separator.size() : 0));
    if (i > 0) builder.add(separator);
    builder.add(parts[i]);
  }
  return builder.take();
}

}  // namespace quire::engine::jinja
