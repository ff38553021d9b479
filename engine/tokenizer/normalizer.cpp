#include "engine/tokenizer/normalizer.h"

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/utf8.h"

namespace quire::engine {
namespace {

std::string_view strip(std::string_view text, StripStep step) {
  while (step.left && !text.empty()) {
    const CodePoint c = first_code_point(text);
    if (!is_white_space(c.value)) break;
    text.remove_prefix(c.length);
  }
  while (step.right && !text.empty()) {
    const CodePoint c = last_code_point(text);
    if (!is_white_space(c.value)) break;
    text.remove_suffix(c.length);
  }
  return text;
}

void append_lowercase(std::string_view text, std::string& out) {
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    text.remove_prefix(c.length);
    const Lowercase lower = to_lowercase(c.value);
    append_utf8(lower.first, out);
    if (lower.second != 0) append_utf8(lower.second, out);
  }
}

// Appends what one step makes of `text`.
struct Append {
  std::string_view text;
  std::string& out;

  void operator()(UnicodeForm form) const { append_normalized(text, form, out); }
  void operator()(LowercaseStep) const { append_lowercase(text, out); }
  void operator()(const PrependStep& step) const {
    if (!text.empty()) out.append(step.text).append(text);
  }
  void operator()(const ReplaceStep& step) const { append_replaced(text, step.from, step.to, out); }
  void operator()(StripStep step) const { out.append(strip(text, step)); }
};

// Whether the step certainly leaves this text as it is.
bool is_identity(const NormalizerStep& step, std::string_view text) {
  if (text.empty()) return true;
  if (std::holds_alternative<UnicodeForm>(step)) {
    for (const char c : text)
      if ((static_cast<unsigned char>(c) & 0x80) != 0) return false;
    return true;
  }
  if (const auto* replace = std::get_if<ReplaceStep>(&step))
    return text.find(replace->from) == std::string_view::npos;
  return false;
}

struct Growth {
  std::size_t operator()(UnicodeForm form) const {  // of UTF-8: Unicode Standard Annex 15
    return form == UnicodeForm::kNfc || form == UnicodeForm::kNfd ? 3 : 11;
  }
  std::size_t operator()(LowercaseStep) const { return 2; }
  std::size_t operator()(const PrependStep& step) const { return 1 + step.text.size(); }
  std::size_t operator()(const ReplaceStep& step) const {
    return replace_growth(step.from, step.to);
  }
  std::size_t operator()(StripStep) const { return 1; }
};

}  // namespace

std::size_t growth_of(const NormalizerStep& step) { return std::visit(Growth{}, step); }

std::size_t replace_growth(std::string_view from, std::string_view to) {
  if (from.empty() || to.size() <= from.size()) return 1;
  return (to.size() + from.size() - 1) / from.size();
}

void append_replaced(std::string_view text, std::string_view from, std::string_view to,
                     std::string& out) {
  while (true) {
    const std::size_t found = from.empty() ? std::string_view::npos : text.find(from);
    out.append(text.substr(0, found));
    if (found == std::string_view::npos) return;
    out.append(to);
    text.remove_prefix(found + from.size());
  }
}

std::string_view Normalizer::apply(std::string_view text, std::string& storage,
                                   bool& removed_start) const {
  removed_start = false;
  std::string next;
  for (const NormalizerStep& step : steps_) {
    if (is_identity(step, text)) continue;
    if (const auto* stripping = std::get_if<StripStep>(&step)) {
      const std::string_view kept = strip(text, *stripping);
      removed_start |= kept.data() != text.data();
    }
    next.clear();
    next.reserve(text.size() + text.size() / 2);
    std::visit(Append{text, next}, step);
    storage.swap(next);
    text = storage;
  }
  return text;
}

}  // namespace quire::engine
