#pragma once
// Value: what an expression of a template gives, with Python's meaning of truth, equality and
// order.
//
// Lists and maps are immutable once made and shared; namespaces, loops and macros belong to the run
// (run.h) and values only point at them, so nothing can be a cycle.
// 1. Lists and maps are nested at most kMaxValueDepth deep: walking and destroying them is safe.
// Cost: a Value is 32 bytes; copying a list or a map is a count of references.

#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "engine/tokenizer/template/fuel.h"
#include "engine/tokenizer/template/text.h"

namespace quire::engine::jinja {

class Value;
struct List;
struct Map;
struct Namespace;  // run.h, as the two below
struct Loop;
struct Macro;
struct Method;

struct Undefined {};
struct None {};
// A global function, by its place in the table of functions.cpp.
struct Function {
  std::uint32_t index = 0;
};

// Whether T is one of a variant's types.
template <typename T, typename Variant>
inline constexpr bool kIsAlternative = false;
template <typename T, typename... Types>
inline constexpr bool kIsAlternative<T, std::variant<Types...>> = (std::is_same_v<T, Types> || ...);

class Value final {
 public:
  using Storage = std::variant<Undefined, None, bool, std::int64_t, double, Text,
                               std::shared_ptr<const List>, std::shared_ptr<const Map>, Namespace*,
                               Loop*, const Macro*, Function, std::shared_ptr<const Method>>;

  Value() = default;
  template <typename T>
    requires kIsAlternative<T, Storage>
  Value(T value) : storage_(std::in_place_type<T>, std::move(value)) {}  // NOLINT: implicit

  template <typename T>
  [[nodiscard]] bool is() const {
    return std::holds_alternative<T>(storage_);
  }
  template <typename T>
  [[nodiscard]] const T* get() const {
    return std::get_if<T>(&storage_);
  }
  [[nodiscard]] const List* list() const;  // null: another type
  [[nodiscard]] const Map* map() const;
  [[nodiscard]] const Text* text() const { return get<Text>(); }
  [[nodiscard]] bool is_number() const { return is<bool>() || is<std::int64_t>() || is<double>(); }
  // Integers and booleans, which count as 0 and 1.
  [[nodiscard]] bool is_integer() const { return is<bool>() || is<std::int64_t>(); }
  [[nodiscard]] std::int64_t integer() const;  // of is_integer()
  [[nodiscard]] double number() const;         // of is_number()

 private:
  Storage storage_;
};

enum class ListKind : std::uint8_t {
  kList,
  kTuple,
  kView,       // a map's keys() and its like: no indices
  kGenerator,  // what filters such as map give: can be gone through once, has no length
};

struct List {
  std::vector<Value> items;
  ListKind kind = ListKind::kList;
  int depth = 1;
  mutable bool consumed = false;  // a generator that was gone through
};

// Keys in the order in which they came.
struct Map {
  std::vector<std::pair<Value, Value>> items;
  // Where the keys that are text stand, once they are many; views of the keys in `items`.
  std::unordered_map<std::string_view, std::size_t> index;
  int depth = 1;
};

// A method of a text, list or map that was taken without being called.
struct Method {
  Value self;
  std::string_view name;  // of the table of methods.cpp
};

using ListRef = std::shared_ptr<const List>;
using MapRef = std::shared_ptr<const Map>;

// These charge for what they make and refuse what is nested too deep.
[[nodiscard]] Value make_list(Fuel& fuel, std::vector<Value> items,
                              ListKind kind = ListKind::kList);
// The last of equal keys counts, and stands where the first stood.
[[nodiscard]] Value make_map(Fuel& fuel, std::vector<std::pair<Value, Value>> items);
[[nodiscard]] Value make_text(Fuel& fuel, std::string bytes,
                              TextOrigin origin = TextOrigin::kForeign);

[[nodiscard]] bool is_true(const Value& value);
[[nodiscard]] bool equal(Fuel& fuel, const Value& a, const Value& b);
// a < b; fails on values that have no order.
[[nodiscard]] bool less(Fuel& fuel, const Value& a, const Value& b);
// Null: there is no such key.
[[nodiscard]] const Value* find_key(Fuel& fuel, const Map& map, const Value& key);
[[nodiscard]] const Value* find_key(Fuel& fuel, const Map& map, std::string_view key);
// The elements that a loop over the value sees: keys of a map, characters of a text. Fails on what
// cannot be gone through; a generator gives its elements once.
[[nodiscard]] std::vector<Value> elements(Fuel& fuel, const Value& value);
// len(); fails on what has none.
[[nodiscard]] std::int64_t length(Fuel& fuel, const Value& value);

}  // namespace quire::engine::jinja
