#include "engine/models/config_reader.h"

#include <nlohmann/json.hpp>

#include "proto/error.h"

namespace quire::engine {
namespace {

using nlohmann::json;

std::string range_text(double min, double max) {
  const json low = min;
  const json high = max;
  return low.dump() + " to " + high.dump();
}

// A whole number of at least 0 (no field of a model is negative); nothing for anything else.
std::optional<std::uint64_t> whole_number(const json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (!value.is_number_integer() || value.get<std::int64_t>() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(value.get<std::int64_t>());
}

}  // namespace

void ConfigReader::refuse(std::string_view key, std::string_view message) const {
  throw StartupError(file_ + ": " + prefix_ + std::string(key) + ": " + std::string(message));
}

const json* ConfigReader::find(std::string_view key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

const json& ConfigReader::at(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) refuse(key, "is missing");
  return *value;
}

bool ConfigReader::has(std::string_view key) const { return find(key) != nullptr; }

std::int32_t ConfigReader::integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  const std::optional<std::uint64_t> value = whole_number(at(key));
  if (!value || *value < static_cast<std::uint64_t>(min) ||
      *value > static_cast<std::uint64_t>(max)) {
    refuse(key, "must be an integer from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return static_cast<std::int32_t>(*value);
}

std::int32_t ConfigReader::integer_or(std::string_view key, std::int64_t min, std::int64_t max,
                                      std::int32_t fallback) const {
  return has(key) ? integer(key, min, max) : fallback;
}

float ConfigReader::number(std::string_view key, double min, double max) const {
  const json& value = at(key);
  // !(>=) and !(<=) refuse NaN, which JSON cannot hold anyway.
  if (!value.is_number() || !(value.get<double>() >= min) || !(value.get<double>() <= max)) {
    refuse(key, "must be a number from " + range_text(min, max));
  }
  return static_cast<float>(value.get<double>());
}

float ConfigReader::number_or(std::string_view key, double min, double max, float fallback) const {
  return has(key) ? number(key, min, max) : fallback;
}

bool ConfigReader::boolean_or(std::string_view key, bool fallback) const {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) refuse(key, "must be true or false");
  return value->get<bool>();
}

std::string ConfigReader::string_or(std::string_view key, std::string_view fallback) const {
  const json* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) refuse(key, "must be a string");
  return value->get<std::string>();
}

std::string ConfigReader::single_string(std::string_view key) const {
  const json& value = at(key);
  if (!value.is_array() || value.size() != 1 || !value[0].is_string()) {
    refuse(key, "must be a list of one name");
  }
  return value[0].get<std::string>();
}

std::optional<std::vector<TokenId>> ConfigReader::token_ids(std::string_view key,
                                                            std::int32_t vocab_size) const {
  constexpr std::size_t kMaxIds = 256;  // models have one to five
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const json list = value->is_array() ? *value : json::array({*value});
  std::vector<TokenId> ids;
  for (const json& id : list) {
    const std::optional<std::uint64_t> number = whole_number(id);
    if (!number || *number >= static_cast<std::uint64_t>(vocab_size) || ids.size() == kMaxIds) {
      refuse(key, "must be a token id below vocab_size (" + std::to_string(vocab_size) +
                      "), or a list of at most 256 of them");
    }
    ids.push_back(static_cast<TokenId>(*number));
  }
  return ids;
}

ConfigReader ConfigReader::object(std::string_view key) const {
  const json& value = at(key);
  if (!value.is_object()) refuse(key, "must be an object");
  ConfigReader reader(value, file_);
  reader.prefix_ = prefix_ + std::string(key) + ".";
  return reader;
}

DType ConfigReader::weight_dtype() const {
  const char* key = has("dtype") ? "dtype" : "torch_dtype";
  const std::string name = string_or(key, "float32");
  if (name == "float32") return DType::kFloat32;
  if (name == "float16") return DType::kFloat16;
  if (name == "bfloat16") return DType::kBFloat16;
  refuse(key, "must be float32, float16 or bfloat16");
}

void ConfigReader::agree(std::string_view key, std::int64_t value, std::string_view same) const {
  const json* found = find(key);
  if (found == nullptr || whole_number(*found) == static_cast<std::uint64_t>(value)) return;
  refuse(key, "contradicts " + std::string(same) + " (" + std::to_string(value) + ")");
}

}  // namespace quire::engine
