#include "proto/field_reader.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace quire::proto {
namespace {

using nlohmann::json;

// Beyond 2^53 a double may not be the number that was written: the parser also makes one of every
// integer that 64 bits do not hold.
std::optional<std::int64_t> exact_integer(double value) {
  if (!(std::abs(value) <= 0x1p53) || std::trunc(value) != value) return std::nullopt;  // also NaN
  return static_cast<std::int64_t>(value);
}

std::optional<std::int64_t> as_integer(const json& value) {
  if (value.is_number_float()) return exact_integer(value.get<double>());
  if (!value.is_number_unsigned()) {
    return value.is_number_integer() ? std::optional(value.get<std::int64_t>()) : std::nullopt;
  }
  const auto magnitude = value.get<std::uint64_t>();
  if (magnitude > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) return std::nullopt;
  return static_cast<std::int64_t>(magnitude);
}

bool lies_in(double value, NumberRange range) {
  return std::isfinite(value) && value <= range.max &&
         (range.min_excluded ? value > range.min : value >= range.min);
}

// Rounding to float must not leave the range: a top_p of 1e-60 stays above zero.
float to_float(double value, NumberRange range) {
  const float rounded = static_cast<float>(value) + 0.0f;  // -0.0 becomes 0.0
  const bool lost = range.min_excluded && !(rounded > static_cast<float>(range.min));
  return lost ? static_cast<float>(range.min) + std::numeric_limits<float>::min() : rounded;
}

std::string spelt(double value) {
  std::array<char, 32> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return error == std::errc{} ? std::string(digits.data(), end) : std::string{};
}

}  // namespace

std::string element(std::string_view name, std::size_t index) {
  return std::string(name) + '[' + std::to_string(index) + ']';
}

json* FieldReader::find(std::string_view name) {
  const auto member = object_.find(name);
  return member == object_.end() || member->is_null() ? nullptr : &*member;
}

std::optional<std::int64_t> FieldReader::integer(std::string_view name, IntegerRange range) {
  const json* value = find(name);
  return value == nullptr ? std::nullopt : integer_at(*value, name, range);
}

std::optional<float> FieldReader::number(std::string_view name, NumberRange range) {
  const json* value = find(name);
  return value == nullptr ? std::nullopt : number_at(*value, name, range);
}

std::optional<bool> FieldReader::boolean(std::string_view name) {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  refuse(name, "must be true or false");
  return std::nullopt;
}

std::optional<std::string> FieldReader::text(std::string_view name) {
  json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return std::move(value->get_ref<std::string&>());
  refuse(name, "must be a string");
  return std::nullopt;
}

std::optional<std::int64_t> FieldReader::integer_at(const json& value, std::string_view param,
                                                    IntegerRange range) {
  const std::optional<std::int64_t> number = as_integer(value);
  if (number && *number >= range.min && *number <= range.max) return number;
  refuse(param, "must be an integer from " + std::to_string(range.min) + " to " +
                    std::to_string(range.max));
  return std::nullopt;
}

std::optional<float> FieldReader::number_at(const json& value, std::string_view param,
                                            NumberRange range) {
  if (value.is_number()) {
    const auto number = value.get<double>();
    if (lies_in(number, range)) return to_float(number, range);
  }
  refuse(param, std::string("must be a number ") + (range.min_excluded ? "above " : "from ") +
                    spelt(range.min) + (range.min_excluded ? " and up to " : " to ") +
                    spelt(range.max));
  return std::nullopt;
}

std::vector<TokenId> FieldReader::token_ids_at(const json& list, std::string_view param,
                                               std::int32_t vocab_size) {
  std::vector<TokenId> ids;
  ids.reserve(list.size());
  const std::int64_t end = vocab_size;
  for (const json& value : list) {
    const std::optional<std::int64_t> id = as_integer(value);
    if (!id || *id < 0 || *id >= end) {
      refuse(element(param, ids.size()), "must be a token id from 0 to " + std::to_string(end - 1));
      return {};
    }
    ids.push_back(static_cast<TokenId>(*id));
  }
  return ids;
}

void FieldReader::refuse(std::string_view param, std::string_view complaint) {
  if (error_) return;
  std::string message(param);
  message += ' ';
  message += complaint;
  message += '.';
  error_ = Error{ErrorCode::kInvalidRequest, std::move(message), std::string(param)};
}

void FieldReader::unsupported(std::string_view param) {
  if (error_) return;
  error_ = Error{ErrorCode::kUnsupported, std::string(param) + " is not supported by this server.",
                 std::string(param)};
}

}  // namespace quire::proto
