#pragma once
// FieldReader takes typed values out of a parsed JSON object and keeps the first error.
//
// Lifetime: borrows the object, which outlives it, and moves strings out of it. One thread.
// 1. A number's kind and range are checked before any cast; booleans are not numbers; a number
//    without a fraction (16.0, 1e2) is an integer, as Python's clients and peers have it.
// 2. null means absent: find() returns nothing for it.
// 3. After the first error the others are not recorded: error() is about the first field.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"
#include "proto/types.h"

namespace quire::proto {

struct IntegerRange {
  std::int64_t min;
  std::int64_t max;
};

struct NumberRange {
  double min;
  double max;
  bool min_excluded = false;
};

class FieldReader final {
 public:
  explicit FieldReader(nlohmann::json& object) : object_(object) {}

  [[nodiscard]] nlohmann::json* find(std::string_view name);

  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name, IntegerRange range);
  [[nodiscard]] std::optional<float> number(std::string_view name, NumberRange range);
  [[nodiscard]] std::optional<bool> boolean(std::string_view name);
  [[nodiscard]] std::optional<std::string> text(std::string_view name);

  // The same checks on a value that stands inside a field; `param` says where ("prompt[3]").
  [[nodiscard]] std::optional<std::int64_t> integer_at(const nlohmann::json& value,
                                                       std::string_view param, IntegerRange range);
  [[nodiscard]] std::optional<float> number_at(const nlohmann::json& value, std::string_view param,
                                               NumberRange range);
  [[nodiscard]] std::vector<TokenId> token_ids_at(const nlohmann::json& list,
                                                  std::string_view param, std::int32_t vocab_size);

  void refuse(std::string_view param, std::string_view complaint);  // "<param> <complaint>."
  void unsupported(std::string_view param);

  [[nodiscard]] bool failed() const { return error_.has_value(); }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  nlohmann::json& object_;
  std::optional<Error> error_;
};

// "prompt[3]".
[[nodiscard]] std::string element(std::string_view name, std::size_t index);

}  // namespace quire::proto
