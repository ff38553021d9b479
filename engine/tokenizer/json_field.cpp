#include "engine/tokenizer/json_field.h"

#include <nlohmann/json.hpp>

namespace quire::engine {
namespace {

const nlohmann::json kNull = nullptr;

}  // namespace

void JsonErrors::add(ErrorCode code, std::string_view path, std::string_view what) {
  if (first_) return;
  std::string message = file_name_ + ": ";
  message.append(path.empty() ? "the file" : path).append(": ").append(what);
  first_ = Error{code, std::move(message), file_name_};
}

JsonField::JsonField(const nlohmann::json& root, JsonErrors& errors)
    : JsonField(&root, "", &errors) {}

JsonField::JsonField(const nlohmann::json* value, std::string path, JsonErrors* errors)
    : value_(value), path_(std::move(path)), errors_(errors) {}

JsonField JsonField::operator[](std::string_view key) const {
  std::string path = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  if (!value_->is_object()) {
    if (!value_->is_null()) reject("not an object");
    return {&kNull, std::move(path), errors_};
  }
  const auto found = value_->find(std::string(key));
  return {found == value_->end() ? &kNull : &*found, std::move(path), errors_};
}

JsonField JsonField::operator[](std::size_t index) const {
  const bool there = value_->is_array() && index < value_->size();
  return {there ? &(*value_)[index] : &kNull, path_ + "[" + std::to_string(index) + "]", errors_};
}

std::size_t JsonField::size() const {
  if (value_->is_array()) return value_->size();
  if (!value_->is_null()) reject("not an array");
  return 0;
}

bool JsonField::is_null() const { return value_->is_null(); }

bool JsonField::is_zero() const { return value_->is_number() && value_->get<double>() == 0.0; }

std::string JsonField::string() const {
  if (value_->is_string()) return value_->get<std::string>();
  reject("not a string");
  return "";
}

bool JsonField::boolean() const {
  if (value_->is_boolean()) return value_->get<bool>();
  reject("not true or false");
  return false;
}

bool JsonField::boolean_or(bool fallback) const { return is_null() ? fallback : boolean(); }

std::int64_t JsonField::integer(std::int64_t min, std::int64_t max) const {
  if (value_->is_number_unsigned()) {
    const auto number = value_->get<std::uint64_t>();
    if (number <= static_cast<std::uint64_t>(max) && static_cast<std::int64_t>(number) >= min)
      return static_cast<std::int64_t>(number);
  }
  reject("not an integer from " + std::to_string(min) + " to " + std::to_string(max));
  return min;
}

void JsonField::reject(std::string_view what) const {
  errors_->add(ErrorCode::kInvalidRequest, path_, what);
}

void JsonField::unsupported(std::string_view what) const {
  errors_->add(ErrorCode::kUnsupported, path_, what);
}

}  // namespace quire::engine
