#include "engine/tokenizer/template/functions.h"

#include <algorithm>
#include <array>

#include "engine/tokenizer/template/arguments.h"
#include "engine/tokenizer/template/text_form.h"

namespace quire::engine::jinja {
namespace {

using Given = const CallArguments&;

Value call_range(Run& run, Given given) {
  const Bound bound(given, {"start", "stop", "step"}, 1);
  const std::int64_t start = bound.has(1) ? bound.integer(0, 0) : 0;
  const std::int64_t stop = bound.has(1) ? bound.integer(1, 0) : bound.integer(0, 0);
  const std::int64_t step = bound.integer(2, 1);
  if (step == 0) fail("The step of range() is zero.");
  std::vector<Value> all;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (std::ssize(all) >= kMaxRange) {
      throw TemplateError(TemplateError::Kind::kFuel, "range() is too long.");
    }
    run.fuel().spend();
    all.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return make_list(run.fuel(), std::move(all));
}

// The pairs that dict() and namespace() are given: a map, then names.
std::vector<std::pair<Value, Value>> pairs(Run& run, Given given) {
  std::vector<std::pair<Value, Value>> all;
  if (given.positional.size() > 1) fail("A call has too many arguments.");
  for (const Value& value : given.positional) {
    if (const Map* map = value.map()) {
      all = map->items;
      continue;
    }
    for (const Value& pair : elements(run.fuel(), value)) {
      std::vector<Value> both = elements(run.fuel(), pair);
      if (both.size() != 2) fail("A map is made of pairs.");
      all.emplace_back(both[0], both[1]);
    }
  }
  for (const auto& [name, value] : given.named) {
    all.emplace_back(Text(name, TextOrigin::kTemplate), value);
  }
  return all;
}

Value call_dict(Run& run, Given given) { return make_map(run.fuel(), pairs(run, given)); }

Value call_namespace(Run& run, Given given) {
  Namespace& names = run.make_namespace();
  for (const auto& [name, value] : pairs(run, given)) {
    if (name.text() == nullptr) fail("The names of a namespace are texts.");
    run.fuel().make(name.text()->size() + sizeof(Value));
    names.set(name.text()->bytes(), value);
  }
  return &names;
}

// The message is told to clients: only what the template itself says of it, nothing of theirs.
Value call_raise(Run& run, Given given) {
  constexpr std::size_t kMaxMessage = 300;
  const Bound bound(given, {"message"}, 1);
  const Text message = to_text(run.fuel(), *bound[0]);
  std::string own;
  std::size_t begin = 0;
  for (const TextRun& part : message.runs()) {
    if (part.origin == TextOrigin::kTemplate) {
      own += message.bytes().substr(begin, part.end - begin);
    } else if (!own.ends_with("...")) {
      own += "...";
    }
    begin = part.end;
  }
  if (own.size() > kMaxMessage) own.resize(kMaxMessage);
  throw TemplateError(TemplateError::Kind::kRefused, own);
}

// The clock has no time zone, as datetime.now() has none: %Z and %z are empty.
std::string without_zone(std::string_view format) {
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    const char kind = format[++i];
    if (kind != 'Z' && kind != 'z') out.append(1, '%').append(1, kind);
  }
  return out;
}

Value call_strftime(Run& run, Given given) {
  constexpr std::size_t kMaxFormat = 256;
  const Bound bound(given, {"format"}, 1);
  const Text format = bound.text(0);
  if (format.empty()) return Text();
  if (format.size() > kMaxFormat) fail("The format of a date is too long.");
  std::array<char, 4 * kMaxFormat> buffer;
  const std::string zoneless = without_zone(format.bytes());
  const std::size_t size =
      std::strftime(buffer.data(), buffer.size(), zoneless.c_str(), &run.now());
  return make_text(run.fuel(), std::string(buffer.data(), size));
}

struct Entry {
  std::string_view name;
  Value (*call)(Run&, Given);
};

constexpr Entry kFunctions[] = {
    {"range", call_range},           {"namespace", call_namespace},   {"dict", call_dict},
    {"raise_exception", call_raise}, {"strftime_now", call_strftime},
};

}  // namespace

std::optional<Function> find_function(std::string_view name) {
  const auto* found = std::ranges::find(kFunctions, name, &Entry::name);
  if (found == std::end(kFunctions)) return std::nullopt;
  return Function{static_cast<std::uint32_t>(found - std::begin(kFunctions))};
}

Value call_function(Run& run, Function function, const CallArguments& arguments) {
  return kFunctions[function.index].call(run, arguments);
}

}  // namespace quire::engine::jinja
