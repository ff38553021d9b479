#include "engine/tokenizer/template/value.h"

#include <algorithm>
#include <compare>
#include <string>

#include "engine/tokenizer/utf8.h"
#include "proto/check.h"

namespace quire::engine::jinja {
namespace {

constexpr std::size_t kIndexedFrom = 16;  // keys

int depth_of(const Value& value) {
  if (const List* list = value.list()) return list->depth;
  if (const Map* map = value.map()) return map->depth;
  if (const auto* method = value.get<std::shared_ptr<const Method>>()) {
    return 1 + depth_of((*method)->self);
  }
  return 0;
}

int checked_depth(int depth) {
  if (depth > kMaxValueDepth) fail("Lists and maps are nested too deep.");
  return depth;
}

bool equal_lists(Fuel& fuel, const List& a, const List& b) {
  if (&a == &b) return true;
  if (a.kind != b.kind || a.kind == ListKind::kGenerator) return false;
  return std::ranges::equal(a.items, b.items,
                            [&fuel](const Value& x, const Value& y) { return equal(fuel, x, y); });
}

bool equal_maps(Fuel& fuel, const Map& a, const Map& b) {
  if (a.items.size() != b.items.size()) return false;
  return std::ranges::all_of(a.items, [&](const auto& item) {
    const Value* other = find_key(fuel, b, item.first);
    return other != nullptr && equal(fuel, item.second, *other);
  });
}

template <typename T>
bool same(const Value& a, const Value& b) {
  const T* x = a.get<T>();
  const T* y = b.get<T>();
  return x != nullptr && y != nullptr && *x == *y;
}

}  // namespace

const List* Value::list() const {
  const auto* list = get<ListRef>();
  return list == nullptr ? nullptr : list->get();
}

const Map* Value::map() const {
  const auto* map = get<MapRef>();
  return map == nullptr ? nullptr : map->get();
}

std::int64_t Value::integer() const {
  if (const bool* flag = get<bool>()) return *flag ? 1 : 0;
  const auto* integer = get<std::int64_t>();
  CHECK(integer != nullptr);
  return *integer;
}

double Value::number() const {
  if (const double* number = get<double>()) return *number;
  return static_cast<double>(integer());
}

Value make_list(Fuel& fuel, std::vector<Value> items, ListKind kind) {
  fuel.spend(items.size() + 1);
  fuel.make(items.size() * sizeof(Value));
  auto list = std::make_shared<List>();
  list->kind = kind;
  for (const Value& item : items) {
    list->depth = std::max(list->depth, checked_depth(1 + depth_of(item)));
  }
  list->items = std::move(items);
  return ListRef(std::move(list));
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): its parts are moved on
Value make_map(Fuel& fuel, std::vector<std::pair<Value, Value>> items) {
  fuel.spend(items.size() + 1);
  fuel.make(items.size() * 2 * sizeof(Value));
  auto map = std::make_shared<Map>();
  map->items.reserve(items.size());  // so that the index's views stay valid
  const bool indexed = items.size() >= kIndexedFrom;
  for (auto& [key, value] : items) {
    if (key.list() != nullptr || key.map() != nullptr) fail("A list or map cannot be a key.");
    map->depth = std::max(map->depth, checked_depth(1 + depth_of(value)));
    if (const Value* old = find_key(fuel, *map, key)) {
      *const_cast<Value*>(old) = std::move(value);  // a value of the map that is being made
      continue;
    }
    map->items.emplace_back(std::move(key), std::move(value));
    const Text* name = map->items.back().first.text();
    if (indexed && name != nullptr) map->index.emplace(name->bytes(), map->items.size() - 1);
  }
  return MapRef(std::move(map));
}

Value make_text(Fuel& fuel, std::string bytes, TextOrigin origin) {
  fuel.make(bytes.size());
  return Text(std::move(bytes), origin);
}

bool is_true(const Value& value) {
  if (value.is<Undefined>() || value.is<None>()) return false;
  if (value.is_integer()) return value.integer() != 0;
  if (const double* number = value.get<double>()) return *number != 0.0;
  if (const Text* text = value.text()) return !text->empty();
  if (const List* list = value.list()) {
    return list->kind == ListKind::kGenerator || !list->items.empty();
  }
  if (const Map* map = value.map()) return !map->items.empty();
  return true;
}

bool equal(Fuel& fuel, const Value& a, const Value& b) {
  fuel.spend();
  if (a.is_integer() && b.is_integer()) return a.integer() == b.integer();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.text() != nullptr && b.text() != nullptr) {
    if (a.text()->size() != b.text()->size()) return false;
    fuel.read(a.text()->size());
    return a.text()->bytes() == b.text()->bytes();
  }
  if (a.list() != nullptr && b.list() != nullptr) return equal_lists(fuel, *a.list(), *b.list());
  if (a.map() != nullptr && b.map() != nullptr) return equal_maps(fuel, *a.map(), *b.map());
  if (a.is<Undefined>() || a.is<None>()) {
    return a.is<Undefined>() == b.is<Undefined>() && a.is<None>() == b.is<None>();
  }
  return same<Namespace*>(a, b) || same<Loop*>(a, b) || same<const Macro*>(a, b);
}

bool less(Fuel& fuel, const Value& a, const Value& b) {
  fuel.spend();
  if (a.is_integer() && b.is_integer()) return a.integer() < b.integer();
  if (a.is_number() && b.is_number()) return a.number() < b.number();
  if (a.text() != nullptr && b.text() != nullptr) {
    fuel.read(std::min(a.text()->size(), b.text()->size()));
    return a.text()->bytes() < b.text()->bytes();  // code points and UTF-8 order alike
  }
  const List* x = a.list();
  const List* y = b.list();
  if (x == nullptr || y == nullptr || x->kind != y->kind || x->kind > ListKind::kTuple) {
    fail("These values have no order.");
  }
  const std::size_t common = std::min(x->items.size(), y->items.size());
  for (std::size_t i = 0; i < common; ++i) {
    if (!equal(fuel, x->items[i], y->items[i])) return less(fuel, x->items[i], y->items[i]);
  }
  return x->items.size() < y->items.size();
}

const Value* find_key(Fuel& fuel, const Map& map, std::string_view key) {
  if (!map.index.empty()) {
    const auto found = map.index.find(key);
    return found == map.index.end() ? nullptr : &map.items[found->second].second;
  }
  fuel.spend(1 + map.items.size() / kIndexedFrom);
  for (const auto& [name, value] : map.items) {
    if (name.text() != nullptr && name.text()->bytes() == key) return &value;
  }
  return nullptr;
}

const Value* find_key(Fuel& fuel, const Map& map, const Value& key) {
  if (key.text() != nullptr) return find_key(fuel, map, key.text()->bytes());
  if (key.list() != nullptr || key.map() != nullptr) return nullptr;
  fuel.spend(map.items.size());
  for (const auto& [name, value] : map.items) {
    if (name.text() == nullptr && equal(fuel, name, key)) return &value;
  }
  return nullptr;
}

std::vector<Value> elements(Fuel& fuel, const Value& value) {
  std::vector<Value> all;
  if (const List* list = value.list()) {
    fuel.spend(list->items.size());
    fuel.make(list->items.size() * sizeof(Value));
    if (list->kind != ListKind::kGenerator) return list->items;
    if (!std::exchange(list->consumed, true)) return list->items;
    return {};
  }
  if (const Map* map = value.map()) {
    fuel.spend(map->items.size());
    fuel.make(map->items.size() * sizeof(Value));
    for (const auto& item : map->items) all.push_back(item.first);
    return all;
  }
  if (const Text* text = value.text()) {
    fuel.spend(text->size());
    fuel.make(text->size() * sizeof(Value));
    for (std::size_t at = 0; at < text->size();) {
      const std::size_t end = at + first_code_point(text->bytes().substr(at)).length;
      all.emplace_back(text->slice(at, end));
      at = end;
    }
    return all;
  }
  if (!value.is<Undefined>()) fail("This value cannot be gone through.");
  return all;
}

std::int64_t length(Fuel& fuel, const Value& value) {
  if (const Text* text = value.text()) {
    fuel.read(text->size());
    return std::ranges::count_if(
        text->bytes(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  }
  if (const List* list = value.list(); list != nullptr && list->kind != ListKind::kGenerator) {
    return static_cast<std::int64_t>(list->items.size());
  }
  if (const Map* map = value.map()) return static_cast<std::int64_t>(map->items.size());
  if (!value.is<Undefined>()) fail("This value has no length.");
  return 0;
}

}  // namespace quire::engine::jinja
