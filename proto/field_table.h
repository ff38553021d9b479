#pragma once
// The tables that say what each field of a request may be: the kinds of rules, and the fields that
// completions and chat share. Inside this room only.
//
// Pure data and functions; any thread.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "proto/field_reader.h"
#include "proto/openai.h"

namespace quire::proto::fields {

using Request = CompletionRequest;
using Limits = RequestLimits;

// How a field is read: one type per kind of value.
struct Integer {
  std::int64_t min;
  std::int64_t (*max)(const Limits&);
  void (*store)(Request&, std::int64_t);
};
struct Number {
  NumberRange range;
  void (*store)(Request&, float);
};
struct Boolean {
  bool Request::*target;
};
struct Text {
  std::optional<std::string> Request::*target;
};
// Lists and objects, and rules of their own.
struct Special {
  void (*read)(FieldReader&, const Limits&, Request&);
};
// Known and not served: refused unless the value asks for nothing.
struct NotServed {};

struct Field {
  std::string_view name;
  std::variant<Integer, Number, Boolean, Text, Special, NotServed> rule;
};

template <auto kValue>
std::int64_t up_to(const Limits&) {
  return std::int64_t{kValue};
}
template <auto kMember>
std::int64_t limit(const Limits& limits) {
  return std::int64_t{limits.*kMember};
}

// A table bounds every integer within int32 before this is called.
inline std::int32_t narrow(std::int64_t value) { return static_cast<std::int32_t>(value); }

// How text is made and where it ends: the same for both endpoints. Read after `n`.
[[nodiscard]] std::span<const Field> shared_fields();

// Reads from the top, so that one field's rule may look at those above it; stops at the first
// error.
void read_fields(std::span<const Field> table, FieldReader& reader, const Limits& limits,
                 Request& request);
void read_not_served(FieldReader& reader, std::string_view name);
// Answers are not parsed for calls: anything but none is refused.
void read_tool_choice(FieldReader& reader, const Limits& limits, Request& request);
// The sampler's own words for what the client gave.
void fill_sampling(Request& request);
// The names of several tables and more of one's own.
[[nodiscard]] std::vector<std::string_view> names_of(
    std::initializer_list<std::span<const Field>> tables,
    std::span<const std::string_view> more = {});

}  // namespace quire::proto::fields
