// format_percent(): Python's `pattern % values`.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "engine/tokenizer/template/operators.h"
#include "engine/tokenizer/template/text_form.h"

namespace quire::engine::jinja {
namespace {

constexpr int kMaxWidth = 1000;  // of a field, and digits of a number

struct Conversion {
  std::string name;  // %(name)s
  bool left = false;
  bool zeros = false;
  bool sign = false;
  int width = 0;
  int precision = -1;
  char type = 's';
};

class PercentFormat final {
 public:
  PercentFormat(Fuel& fuel, const Text& pattern, const Value& values)
      : fuel_(fuel), pattern_(pattern), values_(values) {}

  Value run() {
    const std::string_view bytes = pattern_.bytes();
    fuel_.make(bytes.size());
    std::size_t copied = 0;
    for (at_ = bytes.find('%'); at_ != std::string_view::npos; at_ = bytes.find('%', copied)) {
      builder_.add(pattern_, copied, at_);
      const std::size_t begin = at_++;
      const Conversion conversion = read();
      if (conversion.type == '%') {
        builder_.add(pattern_, begin, begin + 1);
      } else {
        add(conversion);
      }
      copied = at_;
    }
    builder_.add(pattern_, copied, bytes.size());
    const bool all_used = !positional() || used_ >= positional()->items.size();
    if (!all_used || (!positional() && used_ == 0 && !may_be_unused())) {
      fail("Not all values of a format were used.");
    }
    return builder_.take();
  }

 private:
  // A tuple gives one value after the other; anything else is the one value.
  [[nodiscard]] const List* positional() const {
    const List* list = values_.list();
    return list != nullptr && list->kind == ListKind::kTuple ? list : nullptr;
  }

  // Python asks only of what cannot be looked into by a key that it be used.
  [[nodiscard]] bool may_be_unused() const {
    const List* list = values_.list();
    return values_.map() != nullptr || (list != nullptr && list->kind == ListKind::kList);
  }

  char next() {
    if (at_ >= pattern_.size()) fail("A format ends too early.");
    return pattern_.bytes()[at_++];
  }

  int read_number(char& c) {
    int number = 0;
    for (; c >= '0' && c <= '9'; c = next()) {
      number = number * 10 + (c - '0');
      if (number > kMaxWidth) fail("A width in a format is too large.");
    }
    return number;
  }

  Conversion read() {
    Conversion out;
    char c = next();
    if (c == '(') {
      while ((c = next()) != ')') out.name += c;
      c = next();
    }
    for (; c == '-' || c == '0' || c == '+' || c == ' ' || c == '#'; c = next()) {
      out.left = out.left || c == '-';
      out.zeros = out.zeros || c == '0';
      out.sign = out.sign || c == '+';
    }
    out.width = read_number(c);
    if (c == '.') {
      c = next();
      out.precision = read_number(c);
    }
    out.type = c;
    return out;
  }

  Value value_for(const Conversion& conversion) {
    if (!conversion.name.empty()) {
      const Value* found =
          values_.map() == nullptr ? nullptr : find_key(fuel_, *values_.map(), conversion.name);
      if (found == nullptr) fail("A format has no value.");
      return *found;
    }
    const List* list = positional();
    if (used_ >= (list == nullptr ? 1 : list->items.size())) fail("A format has too few values.");
    ++used_;
    return list == nullptr ? values_ : list->items[used_ - 1];
  }

  Text convert(const Conversion& conversion, const Value& value) {
    switch (conversion.type) {
      case 's':
        return to_text(fuel_, value);
      case 'r':
        return represent(fuel_, value);
      case 'd':
      case 'i':
      case 'u': {
        if (!value.is_number() || !(std::abs(value.number()) < 9e18))
          fail("A format needs a number.");
        const auto number =
            value.is_integer() ? value.integer() : static_cast<std::int64_t>(value.number());
        return signed_text(conversion, std::to_string(number));
      }
      case 'f':
      case 'x': {
        if (!value.is_number()) fail("A format needs a number.");
        std::array<char, 2 * kMaxWidth> buffer;
        if (conversion.type == 'x') {
          if (!value.is_integer() || value.integer() < 0) fail("A format needs an integer.");
          std::snprintf(buffer.data(), buffer.size(), "%llx",
                        static_cast<unsigned long long>(value.integer()));
        } else {
          const int precision = conversion.precision < 0 ? 6 : conversion.precision;
          std::snprintf(buffer.data(), buffer.size(), "%.*f", precision, value.number());
        }
        return signed_text(conversion, buffer.data());
      }
      default:
        fail("A format has an unknown conversion.");
    }
  }

  static Text signed_text(const Conversion& conversion, std::string digits) {
    if (conversion.sign && !digits.starts_with('-')) digits.insert(0, 1, '+');
    if (conversion.zeros && !conversion.left) {
      const std::size_t sign = digits.starts_with('-') || digits.starts_with('+') ? 1 : 0;
      const auto width = static_cast<std::size_t>(conversion.width);
      if (digits.size() < width) digits.insert(sign, width - digits.size(), '0');
    }
    return Text(std::move(digits), TextOrigin::kForeign);
  }

  void add(const Conversion& conversion) {
    const Text whole = convert(conversion, value_for(conversion));
    const std::vector<std::size_t> offsets = character_offsets(fuel_, whole);
    std::size_t length = offsets.size() - 1;
    if (conversion.type == 's' && conversion.precision >= 0) {
      length = std::min(length, static_cast<std::size_t>(conversion.precision));
    }
    const auto width = static_cast<std::size_t>(conversion.width);
    const std::string padding(width > length ? width - length : 0, ' ');
    fuel_.make(padding.size() + whole.size());
    if (!conversion.left) builder_.add(padding, TextOrigin::kForeign);
    builder_.add(whole, 0, offsets[length]);
    if (conversion.left) builder_.add(padding, TextOrigin::kForeign);
  }

  Fuel& fuel_;
  const Text& pattern_;
  const Value& values_;
  TextBuilder builder_;
  std::size_t at_ = 0;
  std::size_t used_ = 0;
};

}  // namespace

Value format_percent(Fuel& fuel, const Text& pattern, const Value& values) {
  return PercentFormat(fuel, pattern, values).run();
}

}  // namespace quire::engine::jinja
