// The stop matcher against a search of the whole text.

#include "engine/tokenizer/stop_matcher.h"

#include <cstdlib>
#include <random>

#include "engine/tokenizer/detokenizer.h"
#include "engine/tokenizer/utf8.h"
#include "tests/tokenizer/test_data.h"

namespace quire::engine {
namespace {

struct Outcome {
  std::string text;
  int stop = -1;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// The earliest place where a stop string ends; the longest that ends there.
Outcome naive(const std::string& text, const std::vector<std::string>& stops, bool include) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    int best = -1;
    for (std::size_t i = 0; i < stops.size(); ++i) {
      const bool ends = std::string_view(text).substr(0, end).ends_with(stops[i]);
      if (ends && (best < 0 || stops[i].size() > stops[static_cast<std::size_t>(best)].size()))
        best = static_cast<int>(i);
    }
    if (best < 0) continue;
    const std::size_t cut = include ? 0 : stops[static_cast<std::size_t>(best)].size();
    return {text.substr(0, end - cut), best};
  }
  return {text, -1};
}

// CI_SCALE multiplies the number of random cases.
int num_cases(int base) {
  const char* scale = std::getenv("CI_SCALE");
  return base * (scale == nullptr ? 1 : std::max(1, std::atoi(scale)));
}

class Source {
 public:
  explicit Source(unsigned seed) : random_(seed) {}
  unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }
  std::string string(std::size_t min, std::size_t max, unsigned letters) {
    std::string text(min + below(static_cast<unsigned>(max - min + 1)), ' ');
    for (char& c : text) c = static_cast<char>('a' + below(letters));
    return text;
  }
  std::vector<std::string> stops(unsigned letters) {
    std::vector<std::string> result;
    for (unsigned i = below(4) + 1; i > 0; --i) result.push_back(string(1, 6, letters));
    return result;
  }

 private:
  std::mt19937_64 random_;
};

// Pushes the text in random pieces and checks after each what was let out.
Outcome in_pieces(const std::string& text, const std::vector<std::string>& stops, bool include,
                  const Outcome& expected, Source& source) {
  std::size_t longest = 0;
  for (const std::string& stop : stops) longest = std::max(longest, stop.size());
  StopMatcher matcher(stops, include);
  Outcome outcome;
  for (std::size_t i = 0; i < text.size() && outcome.stop < 0;) {
    const std::size_t length = source.below(5);
    outcome.stop = matcher.push(std::string_view(text).substr(i, length), outcome.text);
    i = std::min(text.size(), i + length);
    REQUIRE(expected.text.starts_with(outcome.text));
    if (outcome.stop < 0) REQUIRE(outcome.text.size() + longest > i);
  }
  if (outcome.stop < 0) matcher.finish(outcome.text);
  const std::string settled = outcome.text;
  REQUIRE(matcher.push("abcabc", outcome.text) == -1);
  REQUIRE(outcome.text == settled);
  return outcome;
}

TEST_CASE("stop strings in random texts, against a search of the whole text") {
  Source source(15);
  const int cases = num_cases(200000);
  for (int i = 0; i < cases; ++i) {
    const unsigned letters = 1 + source.below(3);
    const std::vector<std::string> stops = source.stops(letters);
    const std::string text = source.string(0, 40, letters + source.below(2));
    const bool include = source.below(2) == 1;
    const Outcome expected = naive(text, stops, include);
    const Outcome found = in_pieces(text, stops, include, expected, source);
    if (found == expected) continue;
    CAPTURE(i, text, stops, include, found.text, found.stop);
    REQUIRE(found == expected);
  }
  WARN(cases << " cases");
}

TEST_CASE("random tokens through detokenizer and stop matcher give the whole text, cut") {
  const std::unique_ptr<Tokenizer> tokenizer = test::load_golden("gpt2");
  Source source(18);
  const int cases = num_cases(20000);
  for (int i = 0; i < cases; ++i) {
    std::vector<TokenId> ids(source.below(20));
    for (TokenId& id : ids)
      id = static_cast<TokenId>(source.below(static_cast<unsigned>(tokenizer->vocab_size())));
    const std::string whole = tokenizer->decode(ids, true);
    // A piece of the text itself, at character boundaries, so that it does occur.
    std::size_t begin = source.below(static_cast<unsigned>(whole.size()) + 1);
    std::size_t end = std::min(whole.size(), begin + 1 + source.below(8));
    const auto inside = [&](std::size_t at) {
      return at < whole.size() && (static_cast<unsigned char>(whole[at]) & 0xC0) == 0x80;
    };
    while (inside(begin)) ++begin;
    while (inside(end)) ++end;
    const std::vector<std::string> stops = {begin < end ? whole.substr(begin, end - begin) : "é",
                                            "\xF0\x9F\x98\x80", "zz"};
    Detokenizer detokenizer(*tokenizer, true, false);
    StopMatcher matcher(stops, false);
    Outcome outcome;
    std::string piece;
    for (std::size_t k = 0; k <= ids.size() && outcome.stop < 0; ++k) {
      piece.clear();
      if (k < ids.size())
        detokenizer.push(ids[k], piece);
      else
        detokenizer.finish(piece);
      outcome.stop = matcher.push(piece, outcome.text);
      REQUIRE(is_valid_utf8(outcome.text));
    }
    if (outcome.stop < 0) matcher.finish(outcome.text);
    REQUIRE(outcome == naive(whole, stops, false));
  }
}

TEST_CASE("without stop strings everything passes at once") {
  StopMatcher matcher({}, false);
  std::string out;
  CHECK(matcher.push("abc", out) == -1);
  CHECK(out == "abc");
}

TEST_CASE("an included stop string is let out with the text before it") {
  StopMatcher matcher({"END", "\n\n"}, true);
  std::string out;
  CHECK(matcher.push("text E", out) == -1);
  CHECK(out == "text ");
  CHECK(matcher.push("ND more", out) == 0);
  CHECK(out == "text END");
  CHECK(matcher.stop(0) == "END");
}

}  // namespace
}  // namespace quire::engine
