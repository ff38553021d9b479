#include "server/commands/bench_prompts.h"

#include <algorithm>
#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <set>

namespace quire::server {
namespace {

// A tokenizer with one token per three bytes of each word, and two for the text itself.
std::optional<std::int64_t> count(std::string_view text) {
  std::int64_t tokens = 2;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' ', 1), text.size());
    tokens += static_cast<std::int64_t>((end + 2) / 3);
    text.remove_prefix(end);
  }
  return tokens;
}

}  // namespace

TEST_CASE("measured prompts have the wanted length and differ") {
  const WordCosts words = WordCosts::measured(count);
  CHECK(words.exact());
  std::mt19937_64 random(1);
  std::set<std::string> seen;
  for (const std::int64_t length : {4, 5, 17, 128, 2000}) {
    for (int i = 0; i < 20; ++i) {
      const std::string prompt = words.prompt(length, random);
      CHECK(count(prompt) == length);
      if (length >= 17) CHECK(seen.insert(prompt).second);
    }
  }
}

TEST_CASE("the same seed gives the same prompts") {
  const WordCosts words = WordCosts::estimated();
  std::mt19937_64 one(7), two(7), three(8);
  const std::string prompt = words.prompt(50, one);
  CHECK(prompt == words.prompt(50, two));
  CHECK(prompt != words.prompt(50, three));
}

TEST_CASE("a prompt is never empty, and a server that does not count is no obstacle") {
  std::mt19937_64 random(1);
  CHECK_FALSE(WordCosts::measured(count).prompt(1, random).empty());
  const auto silent = [](std::string_view) -> std::optional<std::int64_t> { return std::nullopt; };
  const WordCosts words = WordCosts::measured(silent);
  CHECK_FALSE(words.exact());
  CHECK_FALSE(words.prompt(10, random).empty());
  const auto constant = [](std::string_view) -> std::optional<std::int64_t> { return 1; };
  CHECK_FALSE(WordCosts::measured(constant).exact());
}

}  // namespace quire::server
