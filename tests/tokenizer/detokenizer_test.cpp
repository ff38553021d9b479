// The streaming detokenizer: whole characters only, the same text however tokens arrive.

#include "engine/tokenizer/detokenizer.h"

#include <random>

#include "engine/tokenizer/utf8.h"
#include "tests/tokenizer/test_data.h"

namespace quire::engine {
namespace {

const std::string kReplacement = "\xEF\xBF\xBD";

// Characters of four bytes mostly; joiners, a flag, accents, plain letters.
const std::string kFourByteText =
    "😀👨‍👩‍👧‍👦a🇩🇪é𝔘𝔫𝔦𐍈한😀😀\U0010FFFF\U00010000z狐"
    "🦊";

// Well-formed sequences by their byte ranges (Unicode, table 3-7): an oracle that shares nothing
// with the code under test.
struct WellFormed {
  int length;
  unsigned char low[4];
  unsigned char high[4];
};
constexpr WellFormed kTable[] = {
    {1, {0x00}, {0x7F}},
    {2, {0xC2, 0x80}, {0xDF, 0xBF}},
    {3, {0xE0, 0xA0, 0x80}, {0xE0, 0xBF, 0xBF}},
    {3, {0xE1, 0x80, 0x80}, {0xEC, 0xBF, 0xBF}},
    {3, {0xED, 0x80, 0x80}, {0xED, 0x9F, 0xBF}},
    {3, {0xEE, 0x80, 0x80}, {0xEF, 0xBF, 0xBF}},
    {4, {0xF0, 0x90, 0x80, 0x80}, {0xF0, 0xBF, 0xBF, 0xBF}},
    {4, {0xF1, 0x80, 0x80, 0x80}, {0xF3, 0xBF, 0xBF, 0xBF}},
    {4, {0xF4, 0x80, 0x80, 0x80}, {0xF4, 0x8F, 0xBF, 0xBF}},
};

// How many bytes at `i` follow this row.
int match_length(const WellFormed& row, const std::string& text, std::size_t i) {
  int k = 0;
  for (; k < row.length && i + k < text.size(); ++k) {
    const auto byte = static_cast<unsigned char>(text[i + k]);
    if (byte < row.low[k] || byte > row.high[k]) break;
  }
  return k;
}

std::string oracle_repair(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    int longest = 1;
    bool whole = false;
    for (const WellFormed& row : kTable) {
      const int length = match_length(row, text, i);
      longest = std::max(longest, length);
      whole = whole || length == row.length;
    }
    out += whole ? text.substr(i, longest) : kReplacement;
    i += longest;
  }
  return out;
}

// The token of each single byte in a byte-level vocabulary.
std::vector<TokenId> byte_tokens(const Tokenizer& tokenizer) {
  std::vector<TokenId> ids(256, kNoToken);
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string_view bytes = tokenizer.token_bytes(id);
    if (bytes.size() == 1) ids[static_cast<unsigned char>(bytes[0])] = id;
  }
  return ids;
}

std::string stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  Detokenizer detokenizer(tokenizer, false, false);
  std::string all;
  for (const TokenId id : ids) {
    std::string piece;
    detokenizer.push(id, piece);
    REQUIRE(is_valid_utf8(piece));
    all += piece;
  }
  std::string last;
  detokenizer.finish(last);
  REQUIRE(is_valid_utf8(last));
  return all + last;
}

TEST_CASE("text cut at every two places repairs to the same text") {
  const std::string text = kFourByteText + "\xF0\x9F" + "x\xED\xA0\x80\xC0\xAF\xF5" + kFourByteText;
  const std::string expected = oracle_repair(text);
  for (std::size_t a = 0; a <= text.size(); ++a)
    for (std::size_t b = a; b <= text.size(); ++b) {
      Utf8Stream repair;
      std::string out;
      repair.push(std::string_view(text).substr(0, a), out);
      REQUIRE(is_valid_utf8(out));
      repair.push(std::string_view(text).substr(a, b - a), out);
      REQUIRE(is_valid_utf8(out));
      repair.push(std::string_view(text).substr(b), out);
      repair.finish(out);
      REQUIRE(out == expected);
    }
}

TEST_CASE("each byte as its own token: output is whole characters, at every stopping point") {
  const std::unique_ptr<Tokenizer> tokenizer = test::load_golden("gpt2");
  const std::vector<TokenId> ids = byte_tokens(*tokenizer);
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i <= kFourByteText.size(); ++i) {
    REQUIRE(stream(*tokenizer, tokens) == oracle_repair(kFourByteText.substr(0, i)));
    REQUIRE(tokenizer->decode(tokens, false) == oracle_repair(kFourByteText.substr(0, i)));
    if (i < kFourByteText.size())
      tokens.push_back(ids[static_cast<unsigned char>(kFourByteText[i])]);
  }
}

TEST_CASE("all two-byte prefixes, ended, continued and broken off") {
  const std::unique_ptr<Tokenizer> tokenizer = test::load_golden("gpt2");
  const std::vector<TokenId> ids = byte_tokens(*tokenizer);
  const std::string tails[] = {"", "a", "\x80", "\x80\x80", "\xF0", "\xBF\x41"};
  for (int first = 0; first < 256; ++first)
    for (int second = 0; second < 256; ++second)
      for (const std::string& tail : tails) {
        const std::string text{static_cast<char>(first), static_cast<char>(second)};
        std::vector<TokenId> tokens;
        for (const char byte : text + tail) tokens.push_back(ids[static_cast<unsigned char>(byte)]);
        REQUIRE(tokenizer->decode(tokens, false) == oracle_repair(text + tail));
      }
}

TEST_CASE("stream equals decode for random tokens, with and without special ones") {
  std::mt19937 random(14);
  for (const char* name :
       {"gpt2", "llama3", "llama2", "metaspace_first", "metaspace_split", "unknowns", "flags"}) {
    const std::unique_ptr<Tokenizer> tokenizer = test::load_golden(name);
    for (int round = 0; round < 3000; ++round) {
      CAPTURE(name, round);
      std::vector<TokenId> ids(random() % 12);
      for (TokenId& id : ids)
        id = static_cast<TokenId>(random() % (tokenizer->vocab_size() + 3)) - 1;
      REQUIRE(stream(*tokenizer, ids) == tokenizer->decode(ids, false));
      std::vector<TokenId> ordinary;
      for (const TokenId id : ids)
        if (!tokenizer->is_special(id)) ordinary.push_back(id);
      REQUIRE(tokenizer->decode(ids, true) == tokenizer->decode(ordinary, false));
    }
  }
}

TEST_CASE("a continued text keeps its leading space, a new one does not") {
  const std::unique_ptr<Tokenizer> tokenizer = test::load_golden("llama2");
  const std::vector<TokenId> ids = tokenizer->encode("river", {.add_special_tokens = false});
  for (const bool continues : {false, true}) {
    Detokenizer detokenizer(*tokenizer, true, continues);
    std::string text;
    for (const TokenId id : ids) detokenizer.push(id, text);
    CHECK(text == (continues ? " river" : "river"));
  }
}

TEST_CASE("token_bytes joined and repaired is the continued text") {
  const std::unique_ptr<Tokenizer> tokenizer = test::load_golden("llama2");
  for (const std::string text : {"Hello 狐狸 😀", "a\n\tb", "é"}) {
    std::string joined;
    for (const TokenId id : tokenizer->encode(text, {.add_special_tokens = false})) {
      joined += tokenizer->token_bytes(id);
      CHECK(tokenizer->token_bytes(id).size() <= tokenizer->max_token_bytes());
    }
    CHECK(repair_utf8(joined) == " " + text);
  }
  CHECK(tokenizer->token_bytes(-1).empty());
  CHECK(tokenizer->token_bytes(tokenizer->vocab_size()).empty());
}

}  // namespace
}  // namespace quire::engine
