#pragma once
// PreTokenizer: cuts normalized text into the pieces within which tokens are merged: a fixed list
// of stages, each cutting (and perhaps rewriting) what the one before gave.
//
// Immutable after construction; any thread.
// 1. Pieces arrive in order and none is empty; they are views that last until the sink returns.
// 2. O(bytes); the stack grows with the number of stages (kMaxStages), not with the text.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/tokenizer/split_pattern.h"

namespace quire::engine {

struct SplitStage {
  SplitPattern pattern;
};
// Runs of numeric characters, or each of them, stand alone.
struct DigitsStage {
  bool individual = false;
};
struct ByteLevelStage {
  bool add_prefix_space = false;  // before what does not begin with one
};
struct MetaspaceStage {
  enum class Prepend : std::uint8_t { kAlways, kFirst, kNever };
  std::string replacement;  // one character, in place of each space
  Prepend prepend = Prepend::kAlways;
  bool split = true;  // before each replacement
};
using PreTokenizerStage = std::variant<SplitStage, DigitsStage, ByteLevelStage, MetaspaceStage>;

class PreTokenizer final {
 public:
  static constexpr std::size_t kMaxStages = 8;
  using Sink = std::function<void(std::string_view piece)>;

  PreTokenizer() = default;
  explicit PreTokenizer(std::vector<PreTokenizerStage> stages) : stages_(std::move(stages)) {}

  // at_start: whether `text` begins where the whole input begins.
  void split(std::string_view text, bool at_start, const Sink& sink) const;

 private:
  struct Run;

  std::vector<PreTokenizerStage> stages_;
};

}  // namespace quire::engine
