#include "server/commands/bench_prompts.h"

#include <algorithm>
#include <array>

namespace quire::server {
namespace {

// Short common words: most tokenizers, small ones too, hold them as one or two tokens.
constexpr std::array<std::string_view, 96> kWords{
    " the",  " and",   " was",   " little", " day",    " she",    " her",  " him",    " they",
    " said", " with",  " that",  " had",    " his",    " you",    " big",  " one",    " happy",
    " very", " there", " went",  " play",   " wanted", " saw",    " tree", " friend", " home",
    " so",   " for",   " but",   " all",    " not",    " could",  " then", " when",   " would",
    " like", " back",  " time",  " good",   " find",   " made",   " look", " help",   " took",
    " some", " up",    " down",  " out",    " in",     " on",     " at",   " of",     " to",
    " a",    " it",    " he",    " be",     " we",     " me",     " my",   " is",     " are",
    " this", " from",  " about", " water",  " house",  " bird",   " dog",  " cat",    " garden",
    " sun",  " river", " stone", " red",    " blue",   " green",  " old",  " new",    " long",
    " far",  " near",  " again", " always", " never",  " under",  " over", " after",  " before",
    " many", " first", " last",  " where",  " while",  " because"};

constexpr std::int64_t kMostProbes = 8;  // words of the probe that finds the overhead

std::int64_t estimate(std::string_view word) { return word.size() <= 7 ? 1 : 2; }

}  // namespace

WordCosts WordCosts::estimated() {
  WordCosts costs;
  for (const std::string_view word : kWords) costs.words_.push_back({word, estimate(word)});
  std::ranges::stable_sort(costs.words_, {}, &Word::tokens);
  return costs;
}

// A word's cost is what a second occurrence adds: the first may also pay for the start of the
// text, and both pay for special tokens.
WordCosts WordCosts::measured(const CountTokens& count) {
  WordCosts costs;
  for (const std::string_view word : kWords) {
    const auto once = count(word);
    const auto twice = once ? count(std::string(word).append(word)) : std::nullopt;
    if (!twice || *twice <= *once) return estimated();
    costs.words_.push_back({word, *twice - *once});
  }
  std::ranges::stable_sort(costs.words_, {}, &Word::tokens);
  std::string probe;
  std::int64_t expected = 0;
  for (std::size_t i = 0; i < kMostProbes; ++i) {
    probe += costs.words_[i].text;
    expected += costs.words_[i].tokens;
  }
  const auto measured = count(probe);
  if (!measured) return estimated();
  costs.overhead_ = *measured - expected;
  costs.exact_ = true;
  return costs;
}

std::string WordCosts::prompt(std::int64_t num_tokens, std::mt19937_64& random) const {
  return text(num_tokens - overhead_, random);
}

std::string WordCosts::text(std::int64_t num_tokens, std::mt19937_64& random) const {
  std::string text;
  std::int64_t left = num_tokens;
  std::size_t fitting = words_.size();
  for (;;) {
    while (fitting > 0 && words_[fitting - 1].tokens > left) --fitting;
    if (fitting == 0) break;
    const Word& word = words_[random() % fitting];
    text += word.text;
    left -= word.tokens;
  }
  return text.empty() ? std::string(words_.front().text) : text;
}

}  // namespace quire::server
