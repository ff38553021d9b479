#pragma once
// JsonField: one value of a configuration tree together with its path, so that reading code can be
// straight-line and the first thing that is wrong is reported by name.
//
// A value that points into a json tree and a JsonErrors; both outlive it. Not thread-safe.
// 1. After the first error every getter still returns a harmless value; the reader checks
//    JsonErrors once, at the end.
// 2. A missing key reads as null.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "proto/error.h"

namespace quire::engine {

class JsonErrors final {
 public:
  explicit JsonErrors(std::string_view file_name) : file_name_(file_name) {}

  // Keeps the first.
  void add(ErrorCode code, std::string_view path, std::string_view what);
  [[nodiscard]] const std::optional<Error>& first() const { return first_; }

 private:
  std::string file_name_;
  std::optional<Error> first_;
};

class JsonField final {
 public:
  JsonField(const nlohmann::json& root, JsonErrors& errors);

  [[nodiscard]] JsonField operator[](std::string_view key) const;
  [[nodiscard]] JsonField operator[](std::size_t index) const;
  // Of an array; 0, with an error, of anything else but null.
  [[nodiscard]] std::size_t size() const;

  [[nodiscard]] bool is_null() const;
  [[nodiscard]] bool is_zero() const;  // the number 0
  // With an error if the value is anything else.
  [[nodiscard]] std::string string() const;
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] bool boolean_or(bool fallback) const;  // for null
  [[nodiscard]] std::int64_t integer(std::int64_t min, std::int64_t max) const;
  [[nodiscard]] const nlohmann::json& value() const { return *value_; }

  // Records that this value is wrong, or that it asks for what is not supported.
  void reject(std::string_view what) const;
  void unsupported(std::string_view what = "not supported") const;

 private:
  JsonField(const nlohmann::json* value, std::string path, JsonErrors* errors);

  const nlohmann::json* value_;
  std::string path_;
  JsonErrors* errors_;
};

}  // namespace quire::engine
