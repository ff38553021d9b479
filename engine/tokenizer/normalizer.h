#pragma once
// Normalizer: what a tokenizer does to text before it cuts it: a fixed list of steps, each a
// function from text to text.
//
// Immutable after construction; any thread.
// 1. Valid UTF-8 in, valid UTF-8 out; never fails; bounded stack.
// 2. O(n log n) at worst (canonical ordering of long runs of combining marks), else O(bytes).

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/tokenizer/unicode_form.h"

namespace quire::engine {

struct LowercaseStep {};
struct PrependStep {
  std::string text;  // before any text that is not empty
};
struct ReplaceStep {
  std::string from;  // not empty
  std::string to;
};
struct StripStep {
  bool left = false;
  bool right = false;
};
using NormalizerStep =
    std::variant<UnicodeForm, LowercaseStep, PrependStep, ReplaceStep, StripStep>;

class Normalizer final {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}

  [[nodiscard]] bool empty() const { return steps_.empty(); }

  // The normalized text: a view of `text` itself where nothing changes, else of `storage`.
  // removed_start: whether characters at the start of the text were stripped.
  std::string_view apply(std::string_view text, std::string& storage, bool& removed_start) const;

 private:
  std::vector<NormalizerStep> steps_;
};

// The most that a step makes of a text of some length: so many times its bytes.
[[nodiscard]] std::size_t growth_of(const NormalizerStep& step);
[[nodiscard]] std::size_t replace_growth(std::string_view from, std::string_view to);

// All occurrences of `from`, left to right and not overlapping, become `to`; an empty `from` occurs
// nowhere. Appends to `out`.
void append_replaced(std::string_view text, std::string_view from, std::string_view to,
                     std::string& out);

}  // namespace quire::engine
