// Filters on lists and maps as a whole: order, joins, sums.

#include <algorithm>

#include "engine/tokenizer/template/arguments.h"
#include "engine/tokenizer/template/filters.h"
#include "engine/tokenizer/template/operators.h"
#include "engine/tokenizer/template/text_form.h"
#include "engine/tokenizer/template/text_operations.h"

namespace quire::engine::jinja {
namespace {

using Given = const CallArguments&;

// What values are compared by: texts without their case, unless it counts.
Value sort_key(Run& run, const Value& value, const Value* path, bool case_sensitive) {
  const Value key = follow(run, value, path);
  if (case_sensitive || key.text() == nullptr) return key;
  return change_case(run.fuel(), *key.text(), LetterCase::kLower);
}

struct Keyed {
  Value key;
  Value value;
};

std::vector<Value> sorted(Run& run, std::vector<Keyed> all, bool reverse) {
  std::stable_sort(all.begin(), all.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? less(run.fuel(), b.key, a.key) : less(run.fuel(), a.key, b.key);
  });
  std::vector<Value> values;
  values.reserve(all.size());
  for (Keyed& item : all) values.push_back(std::move(item.value));
  return values;
}

Value filter_join(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"d", "attribute"});
  std::vector<Text> parts;
  for (const Value& item : elements(run.fuel(), value)) {
    parts.push_back(to_text(run.fuel(), follow(run, item, bound[1])));
  }
  return join(run.fuel(), to_text(run.fuel(), bound.value(0, Text())), parts);
}

Value filter_list(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  return make_list(run.fuel(), elements(run.fuel(), value));
}

Value filter_first(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  const std::vector<Value> all = elements(run.fuel(), value);
  return all.empty() ? Value() : all.front();
}

Value filter_last(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  if (value.list() != nullptr && value.list()->kind == ListKind::kGenerator) {
    fail("A generator has no last element.");
  }
  const std::vector<Value> all = elements(run.fuel(), value);
  return all.empty() ? Value() : all.back();
}

Value filter_reverse(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  if (value.text() != nullptr) {
    return slice(run.fuel(), value, None{}, None{}, std::int64_t{-1});
  }
  if (value.is<Undefined>()) fail("An undefined value has no order.");
  std::vector<Value> all = elements(run.fuel(), value);
  std::ranges::reverse(all);
  return make_list(run.fuel(), std::move(all), ListKind::kGenerator);
}

Value filter_sort(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"reverse", "case_sensitive", "attribute"});
  std::vector<Keyed> all;
  for (Value& item : elements(run.fuel(), value)) {
    // In a list, as jinja2 has it: of two equal keys none is less, also where they have no order.
    Value key = make_list(run.fuel(), {sort_key(run, item, bound[2], bound.flag(1, false))});
    all.push_back({std::move(key), std::move(item)});
  }
  return make_list(run.fuel(), sorted(run, std::move(all), bound.flag(0, false)));
}

// Whether Python could have it in a set.
bool is_hashable(Fuel& fuel, const Value& value) {
  if (value.map() != nullptr) return false;
  const List* list = value.list();
  if (list == nullptr || list->kind == ListKind::kGenerator) return true;
  if (list->kind != ListKind::kTuple) return false;
  fuel.spend(list->items.size());
  return std::ranges::all_of(list->items,
                             [&](const Value& item) { return is_hashable(fuel, item); });
}

Value filter_unique(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"case_sensitive", "attribute"});
  std::vector<Value> keys;
  std::vector<Value> kept;
  for (const Value& item : elements(run.fuel(), value)) {
    const Value key = sort_key(run, item, bound[1], bound.flag(0, false));
    if (!is_hashable(run.fuel(), key)) fail("unique needs values that could be keys of a map.");
    const auto known = [&](const Value& other) { return equal(run.fuel(), key, other); };
    if (std::ranges::any_of(keys, known)) continue;
    keys.push_back(key);
    kept.push_back(item);
  }
  return make_list(run.fuel(), std::move(kept), ListKind::kGenerator);
}

template <bool kLargest>
Value filter_extreme(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"case_sensitive", "attribute"});
  Value best;
  Value best_key;
  bool any = false;
  for (const Value& item : elements(run.fuel(), value)) {
    const Value key = sort_key(run, item, bound[1], bound.flag(0, false));
    const bool better =
        !any || (kLargest ? less(run.fuel(), best_key, key) : less(run.fuel(), key, best_key));
    any = true;
    if (!better) continue;
    best = item;
    best_key = key;
  }
  return best;
}

Value filter_sum(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"attribute", "start"});
  Value total = bound.value(1, std::int64_t{0});
  for (const Value& item : elements(run.fuel(), value)) {
    total = apply(run.fuel(), Operator::kAdd, total, follow(run, item, bound[0]));
  }
  return total;
}

const Map& map_of(const Value& value) {
  if (value.map() == nullptr) fail("Only a map has items.");
  return *value.map();
}

Value filter_items(Run& run, const Value& value, Given given) {
  const Bound none(given, {});
  std::vector<Value> all;
  if (!value.is<Undefined>()) {
    for (const auto& [key, item] : map_of(value).items) {
      all.push_back(make_list(run.fuel(), {key, item}, ListKind::kTuple));
    }
  }
  return make_list(run.fuel(), std::move(all), ListKind::kGenerator);
}

Value filter_dictsort(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"case_sensitive", "by", "reverse"});
  const Text by = bound.text(1, "key");
  if (by.bytes() != "key" && by.bytes() != "value") fail("dictsort is by key or by value.");
  std::vector<Keyed> all;
  for (const auto& [key, item] : map_of(value).items) {
    const Value& chosen = by.bytes() == "key" ? key : item;
    all.push_back({sort_key(run, chosen, nullptr, bound.flag(0, false)),
                   make_list(run.fuel(), {key, item}, ListKind::kTuple)});
  }
  return make_list(run.fuel(), sorted(run, std::move(all), bound.flag(2, false)));
}

Value filter_batch(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"linecount", "fill_with"}, 1);
  const std::int64_t size = bound.integer(0, 1);
  if (size < 1) fail("The size of a batch is less than 1.");
  std::vector<Value> batches;
  std::vector<Value> batch;
  for (Value& item : elements(run.fuel(), value)) {
    batch.push_back(std::move(item));
    if (std::ssize(batch) < size) continue;
    batches.push_back(make_list(run.fuel(), std::exchange(batch, {})));
  }
  if (!batch.empty()) {
    const Value filler = bound.value(1);
    while (!filler.is<None>() && std::ssize(batch) < size) {
      run.fuel().spend();
      batch.push_back(filler);
    }
    batches.push_back(make_list(run.fuel(), std::move(batch)));
  }
  return make_list(run.fuel(), std::move(batches), ListKind::kGenerator);
}

constexpr Filter kFilters[] = {
    {"join", filter_join},     {"list", filter_list},          {"first", filter_first},
    {"last", filter_last},     {"reverse", filter_reverse},    {"sort", filter_sort},
    {"unique", filter_unique}, {"min", filter_extreme<false>}, {"max", filter_extreme<true>},
    {"sum", filter_sum},       {"items", filter_items},        {"dictsort", filter_dictsort},
    {"batch", filter_batch},
};

}  // namespace

std::span<const Filter> list_filters() { return kFilters; }

}  // namespace quire::engine::jinja
