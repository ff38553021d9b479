#pragma once
// Bound: what was given to a filter, function or method, by the names of its parameters.
//
// A view of the arguments, which outlive it. Fails on too many, on unknown and on missing ones.

#include <initializer_list>
#include <string_view>
#include <vector>

#include "engine/tokenizer/template/run.h"

namespace quire::engine::jinja {

class Bound final {
 public:
  Bound(const CallArguments& given, std::initializer_list<std::string_view> names,
        std::size_t num_required = 0);

  // Null: not given.
  [[nodiscard]] const Value* operator[](std::size_t i) const { return values_[i]; }
  [[nodiscard]] bool has(std::size_t i) const { return values_[i] != nullptr; }
  [[nodiscard]] Value value(std::size_t i, const Value& fallback = None{}) const;
  [[nodiscard]] bool flag(std::size_t i, bool fallback) const;
  [[nodiscard]] std::int64_t integer(std::size_t i, std::int64_t fallback) const;
  // Fails on what is no text.
  [[nodiscard]] Text text(std::size_t i, std::string_view fallback = {}) const;

 private:
  std::vector<const Value*> values_;
};

}  // namespace quire::engine::jinja
