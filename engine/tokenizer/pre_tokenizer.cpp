#include "engine/tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/utf8.h"

namespace quire::engine {
namespace {

// How many bytes at the start of `text` belong together under DigitsStage.
std::size_t first_digits_piece(std::string_view text, bool individual) {
  std::size_t length = 0;
  bool numeric = false;
  while (length < text.size()) {
    const CodePoint c = first_code_point(text.substr(length));
    const bool is_number = char_class(c.value) == kNumber;
    if (length > 0 && is_number != numeric) break;
    numeric = is_number;
    length += c.length;
    if (numeric && individual) break;
  }
  return length;
}

}  // namespace

// One walk over the stages. Each stage hands its pieces to the next by a call: the depth is the
// number of stages.
struct PreTokenizer::Run {
  const PreTokenizer& self;
  const Sink& sink;

  void enter(std::size_t stage, std::string_view text, bool at_start) const {
    if (text.empty()) return;
    if (stage == self.stages_.size()) {
      sink(text);
      return;
    }
    std::visit([&](const auto& kind) { apply(kind, stage + 1, text, at_start); },
               self.stages_[stage]);
  }

  void apply(const SplitStage& stage, std::size_t next, std::string_view text,
             bool at_start) const {
    for (; !text.empty(); at_start = false) {
      const std::size_t length = first_piece(stage.pattern, text);
      enter(next, text.substr(0, length), at_start);
      text.remove_prefix(length);
    }
  }

  void apply(const DigitsStage& stage, std::size_t next, std::string_view text,
             bool at_start) const {
    for (; !text.empty(); at_start = false) {
      const std::size_t length = first_digits_piece(text, stage.individual);
      enter(next, text.substr(0, length), at_start);
      text.remove_prefix(length);
    }
  }

  void apply(const ByteLevelStage& stage, std::size_t next, std::string_view text,
             bool at_start) const {
    if (!stage.add_prefix_space || text.front() == ' ') {
      enter(next, text, at_start);
      return;
    }
    std::string spaced = " ";
    spaced.append(text);
    enter(next, spaced, at_start);
  }

  void apply(const MetaspaceStage& stage, std::size_t next, std::string_view text,
             bool at_start) const {
    std::string replaced;
    const bool prepend = stage.prepend == MetaspaceStage::Prepend::kAlways ||
                         (stage.prepend == MetaspaceStage::Prepend::kFirst && at_start);
    if (prepend && !text.starts_with(' ') && !text.starts_with(stage.replacement))
      replaced = stage.replacement;
    append_replaced(text, " ", stage.replacement, replaced);
    std::string_view rest = replaced;
    for (; stage.split && !rest.empty(); at_start = false) {
      const std::size_t end = rest.find(stage.replacement, 1);
      enter(next, rest.substr(0, end), at_start);
      rest.remove_prefix(std::min(end, rest.size()));
    }
    enter(next, rest, at_start);
  }
};

void PreTokenizer::split(std::string_view text, bool at_start, const Sink& sink) const {
  Run{*this, sink}.enter(0, text, at_start);
}

}  // namespace quire::engine
