#include "engine/tokenizer/template/arguments.h"

#include <algorithm>

namespace quire::engine::jinja {

Bound::Bound(const CallArguments& given, std::initializer_list<std::string_view> names,
             std::size_t num_required)
    : values_(names.size(), nullptr) {
  if (given.positional.size() > names.size()) fail("A call has too many arguments.");
  for (std::size_t i = 0; i < given.positional.size(); ++i) values_[i] = &given.positional[i];
  for (const auto& [name, value] : given.named) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) fail("A call has an argument with an unknown name.");
    const auto i = static_cast<std::size_t>(found - names.begin());
    if (values_[i] != nullptr) fail("A call has an argument twice.");
    values_[i] = &value;
  }
  for (std::size_t i = 0; i < num_required; ++i) {
    if (values_[i] == nullptr) fail("A call lacks an argument.");
  }
}

Value Bound::value(std::size_t i, const Value& fallback) const {
  return values_[i] == nullptr ? fallback : *values_[i];
}

bool Bound::flag(std::size_t i, bool fallback) const {
  return values_[i] == nullptr ? fallback : is_true(*values_[i]);
}

std::int64_t Bound::integer(std::size_t i, std::int64_t fallback) const {
  if (values_[i] == nullptr) return fallback;
  if (!values_[i]->is_integer()) fail("An argument must be an integer.");
  return values_[i]->integer();
}

Text Bound::text(std::size_t i, std::string_view fallback) const {
  if (values_[i] == nullptr) return Text(std::string(fallback), TextOrigin::kTemplate);
  if (values_[i]->text() == nullptr) fail("An argument must be a text.");
  return *values_[i]->text();
}

}  // namespace quire::engine::jinja
