// A tokenizer.json that is wrong, or asks for what there is not, is refused by name.

#include <nlohmann/json.hpp>

#include "tests/tokenizer/test_data.h"

namespace quire::engine {
namespace {

using nlohmann::json;

json small_tree() {
  return json::parse(R"({
    "version": "1.0", "added_tokens": [{"id": 4, "content": "<s>", "single_word": false,
      "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3}, "merges": ["a b"]}})");
}

std::string error_of(const std::string& text) {
  Result<std::unique_ptr<Tokenizer>> result = Tokenizer::parse(text, "t.json");
  if (result) return "";
  CHECK(result.error().param == "t.json");
  CHECK(result.error().message.size() <= 512);
  return result.error().message;
}

std::string error_with(const char* pointer, const json& value) {
  json tree = small_tree();
  tree[json::json_pointer(pointer)] = value;
  return error_of(tree.dump());
}

TEST_CASE("the small tree loads and works") {
  Result<std::unique_ptr<Tokenizer>> result = Tokenizer::parse(small_tree().dump(), "t.json");
  REQUIRE(result.ok());
  const Tokenizer& tokenizer = **result;
  CHECK(tokenizer.encode("abc<s>a") == std::vector<TokenId>{3, 2, 4, 0});
  CHECK(tokenizer.vocab_size() == 5);
  CHECK(tokenizer.is_special(4));
  CHECK_FALSE(tokenizer.is_special(3));
  CHECK_FALSE(tokenizer.is_special(-1));
  CHECK(tokenizer.token_to_id("<s>") == 4);
  CHECK(tokenizer.token_to_id("ab") == 3);
  CHECK_FALSE(tokenizer.token_to_id("zz").has_value());
}

TEST_CASE("what is unknown is refused by file and field") {
  const json regex = {{"type", "Split"},
                      {"behavior", "Isolated"},
                      {"invert", false},
                      {"pattern", {{"Regex", "\\w+"}}}};
  CHECK(error_with("/pre_tokenizer", regex) ==
        "t.json: pre_tokenizer.pattern.Regex: not the split pattern of GPT-2, Llama 3 or Qwen 2");
  const auto names = [](const char* pointer, const json& value, const std::string& field) {
    const std::string error = error_with(pointer, value);
    CAPTURE(error);
    CHECK(error.starts_with("t.json: " + field + ": "));
  };
  names("/model/type", "WordPiece", "model.type");
  names("/model/dropout", 0.5, "model.dropout");
  names("/model/end_of_word_suffix", "</w>", "model.end_of_word_suffix");
  names("/model/continuing_subword_prefix", "##", "model.continuing_subword_prefix");
  names("/model/unk_token", "<unk>", "model.unk_token");
  names("/model/byte_fallback", 1, "model.byte_fallback");
  names("/model/merges", json::array({"a b", "a c"}), "model.merges[1]");
  names("/model/merges", json::array({"a"}), "model.merges");
  names("/model/merges", json::array({json::array({"a", "b", "c"})}), "model.merges");
  names("/model/merges", json::array({json::array({"a"})}), "model.merges");
  names("/model/merges", json::array({1}), "model.merges");
  names("/model/merges", json::array({json::array({"", "a"})}), "model.merges[0]");
  names("/model/merges", "a b", "model.merges");
  names("/model/vocab", json::array(), "model.vocab");
  names("/model/vocab/a", -1, "model.vocab");
  names("/model/vocab/a", 1.5, "model.vocab");
  names("/model/vocab/a", "x", "model.vocab");
  names("/model/vocab/a", json::object(), "model.vocab");
  names("/model/vocab/a", 3, "model.vocab");
  names("/model/vocab/a", 1 << 21, "model.vocab");
  names("/model/vocab/a", 18446744073709551615u, "model.vocab");
  names("/normalizer", {{"type", "Precompiled"}}, "normalizer.type");
  names("/normalizer", {{"type", "Sequence"}}, "normalizer.normalizers");
  names("/normalizer",
        {{"type", "Sequence"}, {"normalizers", json::array({{{"type", "NFC"}}, nullptr})}},
        "normalizer.normalizers[1]");
  names("/normalizer", {{"type", "Prepend"}, {"prepend", std::string(65, 'x')}},
        "normalizer.prepend");
  names("/normalizer", {{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", "x"}},
        "normalizer.pattern.String");
  names("/normalizer", "NFC", "normalizer");
  names("/pre_tokenizer", {{"type", "Whitespace"}}, "pre_tokenizer.type");
  names("/post_processor", {{"type", "BertProcessing"}}, "post_processor.type");
  names("/decoder", {{"type", "CTC"}}, "decoder.type");
  names("/decoder", 3, "decoder");
  names("/added_tokens/0/id", -1, "added_tokens[0].id");
  names("/added_tokens/0/id", 3, "added_tokens");
  names("/added_tokens/0/content", "a", "added_tokens[0].id");
  names("/added_tokens/0/content", 7, "added_tokens[0].content");
  names("/added_tokens/0/special", nullptr, "added_tokens[0].special");
  names("/added_tokens/0/content", std::string(1025, 'x'), "added_tokens[0].content");
  names("/added_tokens/1", small_tree()["added_tokens"][0], "added_tokens[1].content");
}

TEST_CASE("a template may only name tokens that exist") {
  json processor = json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}})");
  CHECK(error_with("/post_processor", processor).empty());
  processor["special_tokens"]["<s>"]["ids"] = {5};
  CHECK(error_with("/post_processor", processor).starts_with("t.json: post_processor: "));
  processor["special_tokens"] = json::object();
  CHECK(error_with("/post_processor", processor)
            .starts_with("t.json: post_processor.single[0].SpecialToken.id: "));
  processor["single"] = json::array();
  CHECK(error_with("/post_processor", processor).starts_with("t.json: post_processor.single: "));
}

TEST_CASE("steps that multiply a text's size are bounded together, and before any text is made") {
  const auto replace = [](std::size_t bytes) {
    return json{
        {"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(bytes, 'a')}};
  };
  const std::string what = "with the steps before it, may make a text more than 512 times as long";
  const std::vector<std::pair<const char*, const char*>> chains = {{"normalizer", "normalizers"},
                                                                   {"decoder", "decoders"}};
  for (const auto& [field, list] : chains) {
    const std::string pointer = std::string("/") + field;
    const auto chain = [&](const json& steps) {
      return error_with(pointer.c_str(), {{"type", "Sequence"}, {list, steps}});
    };
    CHECK(chain({replace(64), replace(8)}).empty());
    CHECK(chain({replace(64), replace(8), replace(2)}) ==
          "t.json: " + std::string(field) + "." + list + "[2]: " + what);
    // Eight of them would make 64^8 bytes of one.
    CHECK(chain(std::vector<json>(8, replace(64))) ==
          "t.json: " + std::string(field) + "." + list + "[1]: " + what);
  }
  const json usual = {{{"type", "NFKC"}},
                      {{"type", "Lowercase"}},
                      {{"type", "Prepend"}, {"prepend", "\u2581"}},
                      replace(3)};
  CHECK(error_with("/normalizer", {{"type", "Sequence"}, {"normalizers", usual}}).empty());
}

TEST_CASE("a template puts a bounded number of ids round a text") {
  const auto with = [](std::size_t pieces, std::size_t ids) {
    json single = json::array({{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}});
    for (std::size_t i = 0; i < pieces; ++i)
      single.push_back({{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}});
    const json special = {{"<s>", {{"id", "<s>"}, {"ids", std::vector<int>(ids, 4)}}}};
    return error_with("/post_processor", {{"type", "TemplateProcessing"},
                                          {"single", single},
                                          {"pair", json::array()},
                                          {"special_tokens", special}});
  };
  CHECK(with(64, 4).empty());
  CHECK(with(65, 4) == "t.json: post_processor.single[65]: more than 256 ids round a text");
  CHECK(with(1, 257) == "t.json: post_processor.special_tokens.<s>.ids: more than 256 ids");
}

TEST_CASE("keys that come twice, deep nesting and what is no JSON object are refused") {
  CHECK(error_of(R"({"model": {}, "model": {}})") == "t.json: a key appears twice");
  CHECK(error_of(R"({"model": {"vocab": {"a": 0, "a": 1}}})") ==
        "t.json: model.vocab: a word appears twice");
  CHECK(error_of(R"({"model": {"vocab": {}, "vocab": {}}})") == "t.json: a key appears twice");
  const std::string deep(100000, '[');
  CHECK(error_of("{\"x\": " + deep) == "t.json: nested too deep");
  CHECK(error_of(deep) == "t.json: not a JSON object");
  CHECK(error_of("[]") == "t.json: not a JSON object");
  CHECK(error_of("3") == "t.json: not a JSON object");
  CHECK(error_of("").starts_with("t.json: byte "));
  CHECK(error_of("{}") == "t.json: model.vocab: not an object");
  CHECK(error_of("{\"a\": \"\xFF\"}").starts_with("t.json: byte "));
}

TEST_CASE("a file cut off anywhere is refused") {
  const std::string text = small_tree().dump();
  for (std::size_t length = 0; length < text.size(); ++length)
    REQUIRE_FALSE(error_of(text.substr(0, length)).empty());
  REQUIRE(error_of(text).empty());
}

TEST_CASE("any byte changed: refused, or a tokenizer that encodes") {
  const std::string original = test::read_file(test::golden_folder() / "llama2.json");
  int loaded = 0;
  for (std::size_t i = 0; i < original.size(); i += 13) {
    std::string text = original;
    text[i] = static_cast<char>(text[i] ^ (1 << (i % 7)));
    Result<std::unique_ptr<Tokenizer>> result = Tokenizer::parse(text, "t.json");
    if (!result) continue;
    ++loaded;
    const std::vector<TokenId> ids = (*result)->encode("The river 狐\xFF <s>");
    static_cast<void>((*result)->decode(ids, false));
  }
  CHECK(loaded > 0);
}

TEST_CASE("a Replace whose pattern is missing is refused before it is used") {
  const json replace = {{"type", "Replace"}, {"pattern", {{"Strong", "a"}}}, {"content", "b"}};
  json tree = small_tree();
  tree["added_tokens"][0]["normalized"] = true;
  tree["normalizer"] = replace;
  CHECK(error_of(tree.dump()) == "t.json: normalizer.pattern.String: not a string");
  CHECK(error_with("/decoder", replace) == "t.json: decoder.pattern.String: not a string");
}

TEST_CASE("a file that is not there or not a file is refused by name") {
  const std::filesystem::path folder = test::golden_folder();
  for (const std::filesystem::path& path : {folder / "absent.json", folder}) {
    const Result<std::unique_ptr<Tokenizer>> result = Tokenizer::load(path);
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().message == path.string() + ": not a regular file");
  }
}

}  // namespace
}  // namespace quire::engine
