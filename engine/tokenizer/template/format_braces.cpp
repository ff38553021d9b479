#include "engine/tokenizer/template/format_braces.h"

#include <algorithm>
#include <charconv>

#include "engine/tokenizer/template/operators.h"
#include "engine/tokenizer/template/text_form.h"

namespace quire::engine::jinja {
namespace {

class BraceFormat final {
 public:
  BraceFormat(Run& run, const Text& pattern, const CallArguments& arguments)
      : run_(run), pattern_(pattern), arguments_(arguments) {}

  Value format() {
    const std::string_view bytes = pattern_.bytes();
    run_.fuel().make(bytes.size());
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
      builder_.add(pattern_, at, brace);
      if (brace == bytes.size()) break;
      if (brace + 1 < bytes.size() && bytes[brace + 1] == bytes[brace]) {
        builder_.add(pattern_, brace, brace + 1);
        at = brace + 2;
        continue;
      }
      const std::size_t close = bytes.find('}', brace);
      if (bytes[brace] == '}' || close == std::string_view::npos) fail("A format is wrong.");
      add_field(bytes.substr(brace + 1, close - brace - 1));
      at = close + 1;
    }
    return builder_.take();
  }

 private:
  void add_field(std::string_view field) {
    const std::size_t colon = std::min(field.find(':'), field.size());
    std::string_view name = field.substr(0, colon);
    bool quoted = false;
    if (name.ends_with("!r") || name.ends_with("!s")) {
      quoted = name.back() == 'r';
      name.remove_suffix(2);
    }
    const std::string_view specification =
        colon < field.size() ? field.substr(colon + 1) : std::string_view();
    const Value value = value_of(name);
    const Text text = quoted ? represent(run_.fuel(), value) : specified(value, specification);
    run_.fuel().make(text.size());
    builder_.add(text);
  }

  Value value_of(std::string_view name) {
    std::size_t index = next_;
    if (name.empty()) {
      ++next_;
    } else if (name.front() >= '0' && name.front() <= '9') {
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
      if (error != std::errc{} || end != name.data() + name.size()) fail("A format is wrong.");
    } else {
      const auto found =
          std::ranges::find(arguments_.named, name, &std::pair<std::string, Value>::first);
      if (found == arguments_.named.end()) fail("A format has no value.");
      return found->second;
    }
    if (index >= arguments_.positional.size()) fail("A format has too few values.");
    return arguments_.positional[index];
  }

  // By the rules of `%`: a width, a precision and a type are written alike.
  Text specified(const Value& value, std::string_view specification) {
    if (specification.empty()) return to_text(run_.fuel(), value);
    std::string percent = "%";
    const char front = specification.front();
    if (front == '<' || front == '>') {
      if (front == '<') percent += '-';
      specification.remove_prefix(1);
    } else if (value.text() != nullptr) {
      percent += '-';  // texts stand left, numbers right
    }
    percent += specification;
    const char type = percent.back();
    if (type >= '0' && type <= '9')
      percent += value.is<double>() ? 'f' : value.is_integer() ? 'd' : 's';
    const Value values = make_list(run_.fuel(), {value}, ListKind::kTuple);
    return *format_percent(run_.fuel(), Text(std::move(percent), TextOrigin::kForeign), values)
                .text();
  }

  Run& run_;
  const Text& pattern_;
  const CallArguments& arguments_;
  TextBuilder builder_;
  std::size_t next_ = 0;
};

}  // namespace

Value format_braces(Run& run, const Text& pattern, const CallArguments& arguments) {
  return BraceFormat(run, pattern, arguments).format();
}

}  // namespace quire::engine::jinja
