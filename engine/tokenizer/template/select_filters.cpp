// Filters that run a test or a filter on every element: map, select, groupby and their like.

#include <algorithm>

#include "engine/tokenizer/template/arguments.h"
#include "engine/tokenizer/template/filters.h"

namespace quire::engine::jinja {
namespace {

using Given = const CallArguments&;

// The text among the positional arguments at `i`.
std::string_view name_at(Given given, std::size_t i) {
  if (i >= given.positional.size() || given.positional[i].text() == nullptr) {
    fail("A filter lacks the name of a test or filter.");
  }
  return given.positional[i].text()->bytes();
}

CallArguments after(Given given, std::size_t count) {
  CallArguments rest;
  rest.positional.assign(given.positional.begin() + static_cast<std::ptrdiff_t>(count),
                         given.positional.end());
  rest.named = given.named;
  return rest;
}

// The elements whose value, or whose attribute (the first argument), passes a test or is true.
template <bool kWanted, bool kAttribute>
Value filter_select(Run& run, const Value& value, Given given) {
  if (!is_true(value)) return make_list(run.fuel(), {}, ListKind::kGenerator);
  constexpr std::size_t kBefore = kAttribute ? 1 : 0;  // arguments before the test
  const Value* path = nullptr;
  if (kAttribute) {
    if (given.positional.empty()) fail("A filter lacks the name of an attribute.");
    path = &given.positional.front();
  }
  const bool tested = given.positional.size() > kBefore;
  const std::string_view test = tested ? name_at(given, kBefore) : std::string_view();
  const CallArguments rest = tested ? after(given, kBefore + 1) : CallArguments();
  std::vector<Value> kept;
  for (const Value& item : elements(run.fuel(), value)) {
    const Value looked_at = follow(run, item, path);
    if ((tested ? run.test(test, looked_at, rest) : is_true(looked_at)) == kWanted) {
      kept.push_back(item);
    }
  }
  return make_list(run.fuel(), std::move(kept), ListKind::kGenerator);
}

Value filter_map(Run& run, const Value& value, Given given) {
  std::vector<Value> mapped;
  if (!is_true(value)) {
    // Nothing is gone through, so the arguments do not matter.
  } else if (given.positional.empty()) {
    const Bound bound(given, {"attribute", "default"});
    if (!bound.has(0)) fail("map needs a filter or an attribute.");
    for (const Value& item : elements(run.fuel(), value)) {
      mapped.push_back(follow(run, item, bound[0]));
      if (mapped.back().is<Undefined>() && bound.has(1)) mapped.back() = *bound[1];
    }
  } else {
    const std::string_view name = name_at(given, 0);
    const CallArguments rest = after(given, 1);
    for (const Value& item : elements(run.fuel(), value)) {
      mapped.push_back(run.filter(name, item, rest));
    }
  }
  return make_list(run.fuel(), std::move(mapped), ListKind::kGenerator);
}

// Pairs of a value and the elements that have it, in the order of the values.
Value filter_groupby(Run& run, const Value& value, Given given) {
  const Bound bound(given, {"attribute", "default", "case_sensitive"}, 1);
  std::vector<std::pair<Value, std::vector<Value>>> groups;
  for (const Value& item : elements(run.fuel(), value)) {
    Value key = follow(run, item, bound[0]);
    if (key.is<Undefined>() && bound.has(1)) key = *bound[1];
    const auto same = [&](const auto& group) { return equal(run.fuel(), group.first, key); };
    const auto found = std::ranges::find_if(groups, same);
    if (found != groups.end()) {
      found->second.push_back(item);
    } else {
      groups.emplace_back(std::move(key), std::vector<Value>{item});
    }
  }
  std::ranges::stable_sort(
      groups, [&](const auto& a, const auto& b) { return less(run.fuel(), a.first, b.first); });
  std::vector<Value> pairs;
  for (auto& [key, items] : groups) {
    Value list = make_list(run.fuel(), std::move(items));
    pairs.push_back(make_list(run.fuel(), {key, std::move(list)}, ListKind::kTuple));
  }
  return make_list(run.fuel(), std::move(pairs));
}

constexpr Filter kFilters[] = {
    {"select", filter_select<true, false>},
    {"reject", filter_select<false, false>},
    {"selectattr", filter_select<true, true>},
    {"rejectattr", filter_select<false, true>},
    {"map", filter_map},
    {"groupby", filter_groupby},
};

}  // namespace

std::span<const Filter> select_filters() { return kFilters; }

}  // namespace quire::engine::jinja
