#pragma once
// Prompts of a wanted number of tokens, distinct for each request, the same for the same seed.
//
// WordCosts knows how many tokens each word of a fixed list takes: measured with the server's
// /tokenize where there is one (then prompts are exact as long as words are encoded one by one,
// which byte-level tokenizers do), estimated otherwise. What is reported always comes from usage.

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace quire::server {

// Tokens of a text, or nothing where the server does not say.
using CountTokens = std::function<std::optional<std::int64_t>(std::string_view text)>;

class WordCosts final {
 public:
  [[nodiscard]] static WordCosts estimated();
  // Falls back to the estimate where a count is missing.
  [[nodiscard]] static WordCosts measured(const CountTokens& count);

  [[nodiscard]] bool exact() const { return exact_; }
  // A text of `num_tokens` tokens, or of one or a few less where no word fits the rest.
  [[nodiscard]] std::string prompt(std::int64_t num_tokens, std::mt19937_64& random) const;
  // A piece of a longer prompt: as prompt(), without what a text as a whole has beside its words.
  [[nodiscard]] std::string text(std::int64_t num_tokens, std::mt19937_64& random) const;

 private:
  struct Word {
    std::string_view text;  // with a space before it
    std::int64_t tokens;
  };
  std::vector<Word> words_;    // sorted by tokens
  std::int64_t overhead_ = 0;  // tokens that the text has beside its words
  bool exact_ = false;
};

}  // namespace quire::server
