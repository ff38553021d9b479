// The text of a special token never becomes that token where parse_special is off: not through the
// added tokens, nor merges, nor whole pieces, nor single characters.

#include "tests/tokenizer/test_data.h"

namespace quire::engine {
namespace {

int count_special(const Tokenizer& tokenizer, const std::string& text, bool parse_special) {
  int count = 0;
  for (const TokenId id :
       tokenizer.encode(text, {.add_special_tokens = false, .parse_special = parse_special}))
    count += tokenizer.is_special(id) ? 1 : 0;
  return count;
}

TEST_CASE("special tokens that merges, whole pieces or characters could make") {
  // "ab" by a merge, "abc" as a whole piece, "~" as a character, "<s>" by being cut out.
  for (const std::string ignore_merges : {"false", "true"}) {
    const std::string flags =
        R"("special": true, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false})";
    const Result<std::unique_ptr<Tokenizer>> result = Tokenizer::parse(
        R"({"added_tokens": [{"id": 3, "content": "ab", )" + flags +
            R"(, {"id": 4, "content": "abc", )" + flags + R"(, {"id": 5, "content": "~", )" +
            flags + R"(, {"id": 6, "content": "<s>", )" + flags +
            R"(], "decoder": {"type": "Fuse"}, "model": {"ignore_merges": )" + ignore_merges +
            R"(, "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "~": 5, "<": 7, "s": 8, ">": 9},
                "merges": ["a b", "ab c"]}})",
        "t.json");
    REQUIRE(result.ok());
    for (const std::string text : {"ab", "abc", "~", "<s>", "xab~abc<s>"}) {
      CAPTURE(text, ignore_merges);
      CHECK(count_special(*result.value(), text, true) > 0);
      CHECK(count_special(*result.value(), text, false) == 0);
    }
    CHECK(result.value()->encode("abc", {.parse_special = false}) == std::vector<TokenId>{0, 1, 2});
  }
}

TEST_CASE("every special token of every golden tokenizer inside ordinary text") {
  for (const char* name : {"gpt2", "llama3", "qwen2", "llama2", "metaspace_first",
                           "metaspace_split", "unknowns", "flags"}) {
    const std::unique_ptr<Tokenizer> tokenizer = test::load_golden(name);
    const std::optional<TokenId> unk = tokenizer->token_to_id("<unk>");
    int num_tried = 0;
    for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) {
      if (!tokenizer->is_special(id)) continue;
      ++num_tried;
      const std::string text = "the " + std::string(tokenizer->token_bytes(id)) + " river";
      CAPTURE(name, text);
      for (const TokenId found :
           tokenizer->encode(text, {.add_special_tokens = false, .parse_special = false}))
        CHECK((!tokenizer->is_special(found) || found == unk));
    }
    CHECK(num_tried > 0);
  }
}

}  // namespace
}  // namespace quire::engine
