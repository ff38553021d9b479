#include "proto/json_reader.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/openai.h"

namespace quire::proto {
namespace {

using nlohmann::json;

constexpr int kNumberOverflow = 406;  // nlohmann's out_of_range id for 1e999 and its like

// Receives the parser's events and builds the value. Each event returns whether to go on; after a
// false, error() says why.
class StrictBuilder final {
 public:
  StrictBuilder(std::span<const std::string_view> known_fields, const JsonBudget& budget)
      : known_fields_(known_fields), budget_(budget) {}

  bool null() { return scalar(nullptr); }
  bool boolean(bool value) { return scalar(value); }
  bool number_integer(std::int64_t value) { return scalar(value); }
  bool number_unsigned(std::uint64_t value) { return scalar(value); }
  bool number_float(double value, const std::string& /*spelling*/) {
    if (!std::isfinite(value)) return fail("A number is too large.");
    return scalar(value);
  }
  bool string(std::string& value) { return take_node() && place(json(std::move(value))); }
  bool binary(json::binary_t& /*value*/) { return fail("Binary values are not JSON."); }

  bool start_object(std::size_t /*unknown*/) { return open(json::object()); }
  bool start_array(std::size_t /*unknown*/) { return open(json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    if (open_.size() == 1) field_ = known(name);
    if (!take_node()) return false;
    auto& object = open_.back()->get_ref<json::object_t&>();
    const auto [member, fresh] = object.try_emplace(std::move(name));
    if (!fresh) return fail("A key is given twice in one object.");
    member_ = &member->second;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*last_token*/,
                   const nlohmann::detail::exception& exception) {
    if (exception.id == kNumberOverflow) return fail("A number is too large.");
    return fail("The body is not valid JSON (near byte " + std::to_string(position) + ").");
  }

  [[nodiscard]] json& root() { return root_; }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  bool fail(std::string message) {
    error_ = Error{ErrorCode::kInvalidRequest, std::move(message), std::string(field_)};
    return false;
  }

  bool take_node() {
    if (++nodes_ <= budget_.nodes) return true;
    return fail("The body holds too many strings, keys, arrays and objects (at most " +
                std::to_string(budget_.nodes) + ").");
  }

  bool scalar(json value) {
    if (++scalars_ > budget_.scalars) {
      return fail("The body holds too many numbers (at most " + std::to_string(budget_.scalars) +
                  ").");
    }
    return place(std::move(value));
  }

  // Where the next value goes: the root, the end of the open array, or the member named last.
  json* put(json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    json& parent = *open_.back();
    if (!parent.is_array()) return &(*member_ = std::move(value));
    return &parent.get_ref<json::array_t&>().emplace_back(std::move(value));
  }

  bool place(json value) {
    put(std::move(value));
    leave_value();
    return true;
  }

  bool open(json container) {
    if (open_.size() >= static_cast<std::size_t>(kMaxJsonDepth)) {
      return fail("The body is nested too deeply (at most " + std::to_string(kMaxJsonDepth) +
                  " levels).");
    }
    if (!take_node()) return false;
    open_.push_back(put(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    leave_value();
    return true;
  }

  // What follows a top-level member's value belongs to no field.
  void leave_value() {
    if (open_.size() == 1) field_ = {};
  }

  [[nodiscard]] std::string_view known(std::string_view name) const {
    const auto found = std::ranges::find(known_fields_, name);
    return found == known_fields_.end() ? std::string_view{} : *found;
  }

  std::span<const std::string_view> known_fields_;
  const JsonBudget& budget_;
  json root_;
  std::vector<json*> open_;  // the containers around the next value; stable while they are open
  json* member_ = nullptr;
  std::string_view field_;  // the known top-level key being read, or empty
  std::size_t scalars_ = 0;
  std::size_t nodes_ = 0;
  std::optional<Error> error_;
};

}  // namespace

Result<json> read_json(std::string_view text, std::span<const std::string_view> known_fields,
                       const JsonBudget& budget) {
  if (text.starts_with("\xEF\xBB\xBF")) {
    return Error{ErrorCode::kInvalidRequest, "The body starts with a byte order mark."};
  }
  if (text.find('\0') != std::string_view::npos) {
    return Error{ErrorCode::kInvalidRequest, "The body holds a NUL byte."};
  }
  StrictBuilder builder(known_fields, budget);
  const bool parsed = json::sax_parse(text.data(), text.data() + text.size(), &builder);
  if (builder.error()) return *builder.error();
  CHECK(parsed);  // a refusal without an error would be lost
  return std::move(builder.root());
}

Result<json> read_json_object(std::string_view text, std::span<const std::string_view> known_fields,
                              const JsonBudget& budget) {
  Result<json> value = read_json(text, known_fields, budget);
  if (value.ok() && !value->is_object()) {
    return Error{ErrorCode::kInvalidRequest, "The body must be a JSON object."};
  }
  return value;
}

}  // namespace quire::proto
