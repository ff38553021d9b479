#pragma once
// ConfigReader: typed fields of config.json, strict about kinds and ranges.
//
// A view of a parsed object, which outlives it. Every error is a StartupError of one line,
// "config.json: rope_scaling.factor: must be ...". A field that is null counts as absent.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/types.h"

namespace quire::engine {

class ConfigReader final {
 public:
  // file: the name that errors begin with.
  ConfigReader(const nlohmann::json& object, std::string file)
      : object_(&object), file_(std::move(file)) {}

  [[nodiscard]] bool has(std::string_view key) const;

  // 0 <= min <= value <= max < 2^31.
  [[nodiscard]] std::int32_t integer(std::string_view key, std::int64_t min,
                                     std::int64_t max) const;
  [[nodiscard]] std::int32_t integer_or(std::string_view key, std::int64_t min, std::int64_t max,
                                        std::int32_t fallback) const;
  // min <= value <= max; finite as a float.
  [[nodiscard]] float number(std::string_view key, double min, double max) const;
  [[nodiscard]] float number_or(std::string_view key, double min, double max, float fallback) const;
  [[nodiscard]] bool boolean_or(std::string_view key, bool fallback) const;
  [[nodiscard]] std::string string_or(std::string_view key, std::string_view fallback) const;
  // A list of exactly one string.
  [[nodiscard]] std::string single_string(std::string_view key) const;
  // An id or a list of ids of the vocabulary; absent where the field is.
  [[nodiscard]] std::optional<std::vector<TokenId>> token_ids(std::string_view key,
                                                              std::int32_t vocab_size) const;
  [[nodiscard]] ConfigReader object(std::string_view key) const;
  // What "dtype" (or "torch_dtype") names; float32 where neither is there.
  [[nodiscard]] DType weight_dtype() const;

  // Refuses `key` where it is there and not `value`, which is the field `same`'s: other programs
  // read the one as another spelling of the other.
  void agree(std::string_view key, std::int64_t value, std::string_view same) const;

  [[noreturn]] void refuse(std::string_view key, std::string_view message) const;

 private:
  [[nodiscard]] const nlohmann::json* find(std::string_view key) const;
  // The field's value; an error where it is absent.
  [[nodiscard]] const nlohmann::json& at(std::string_view key) const;

  const nlohmann::json* object_;
  std::string file_;
  std::string prefix_;  // "rope_scaling." inside that object
};

}  // namespace quire::engine
