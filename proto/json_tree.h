#pragma once
// JsonTree: a JSON value whose objects keep their keys in the order in which they came, for what
// is handed on to a chat template (messages, tools): a template writes it out again.
//
// A plain value; thread-compatible. 1. What read_json_tree() gives is nested at most kMaxJsonDepth
// deep: walking and destroying it is safe.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "proto/error.h"

namespace quire::proto {

struct JsonMember;

struct JsonTree {
  using List = std::vector<JsonTree>;
  using Map = std::vector<JsonMember>;
  // Null at first. Integers beyond 64 bits are doubles.
  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, List, Map> value;

  // Of a map, the value under the key; null: another kind, or no such key.
  [[nodiscard]] const JsonTree* find(std::string_view key) const;
  [[nodiscard]] JsonTree* find(std::string_view key);
  [[nodiscard]] bool is_null() const { return value.index() == 0; }
};

struct JsonMember {
  std::string key;
  JsonTree value;
};

// Syntax and depth are checked here; duplicate keys and the budget of values are read_json()'s,
// which has seen a request's text before.
[[nodiscard]] Result<JsonTree> read_json_tree(std::string_view text);

}  // namespace quire::proto
