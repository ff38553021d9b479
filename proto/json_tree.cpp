#include "proto/json_tree.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "proto/openai.h"

namespace quire::proto {
namespace {

using nlohmann::json;

// Receives the parser's events and builds the tree.
class TreeBuilder final {
 public:
  bool null() {
    slot();
    return true;
  }
  bool boolean(bool value) { return place(value); }
  bool number_integer(std::int64_t value) { return place(value); }
  bool number_unsigned(std::uint64_t value) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return place(static_cast<double>(value));
    }
    return place(static_cast<std::int64_t>(value));
  }
  bool number_float(double value, const std::string& /*spelling*/) { return place(value); }
  bool string(std::string& value) { return place(std::move(value)); }
  bool binary(json::binary_t& /*value*/) { return false; }

  bool start_object(std::size_t /*unknown*/) { return open(JsonTree::Map()); }
  bool start_array(std::size_t /*unknown*/) { return open(JsonTree::List()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t /*position*/, const std::string& /*last_token*/,
                   const nlohmann::detail::exception& /*exception*/) {
    return false;
  }

  [[nodiscard]] JsonTree& root() { return root_; }

 private:
  // Where the next value goes. Containers that are open do not move: only the last element of each
  // is being written.
  JsonTree& slot() {
    if (open_.empty()) return root_;
    if (auto* list = std::get_if<JsonTree::List>(&open_.back()->value)) {
      return list->emplace_back();
    }
    auto& map = std::get<JsonTree::Map>(open_.back()->value);
    map.push_back({std::move(key_), {}});
    return map.back().value;
  }
  template <typename T>
  bool place(T value) {
    slot().value.template emplace<T>(std::move(value));
    return true;
  }
  template <typename T>
  bool open(T value) {
    if (open_.size() >= static_cast<std::size_t>(kMaxJsonDepth)) return false;
    JsonTree& here = slot();
    here.value.template emplace<T>(std::move(value));
    open_.push_back(&here);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  JsonTree root_;
  std::vector<JsonTree*> open_;
  std::string key_;
};

}  // namespace

JsonTree* JsonTree::find(std::string_view key) {
  auto* map = std::get_if<Map>(&value);
  if (map == nullptr) return nullptr;
  const auto found = std::ranges::find(*map, key, &JsonMember::key);
  return found == map->end() ? nullptr : &found->value;
}

const JsonTree* JsonTree::find(std::string_view key) const {
  return const_cast<JsonTree*>(this)->find(key);
}

Result<JsonTree> read_json_tree(std::string_view text) {
  TreeBuilder builder;
  if (!json::sax_parse(text.begin(), text.end(), &builder)) {
    return Error{ErrorCode::kInvalidRequest, "The text is not valid JSON."};
  }
  return std::move(builder.root());
}

}  // namespace quire::proto
