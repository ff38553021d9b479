// Every id and every decoded text against the `tokenizers` package (tests/golden/tokenizers).

#include <nlohmann/json.hpp>

#include "tests/tokenizer/test_data.h"

namespace quire::engine {
namespace {

using nlohmann::json;
using Ids = std::vector<TokenId>;

void check_case(const Tokenizer& tokenizer, const std::string& text, const json& golden) {
  CAPTURE(text);
  const Ids ids = golden.at("ids").get<Ids>();
  CHECK(tokenizer.encode(text, {.add_special_tokens = false}) == ids);
  if (golden.contains("with")) CHECK(tokenizer.encode(text) == golden["with"].get<Ids>());
  const Ids literal = golden.contains("literal") ? golden["literal"].get<Ids>() : ids;
  CHECK(tokenizer.encode(text, {.add_special_tokens = false, .parse_special = false}) == literal);
  CHECK(tokenizer.decode(ids, false) == golden.value("text", text));
  CHECK(tokenizer.decode(ids, true) == golden.value("plain", text));
}

void check_goldens(const std::string& name) {
  const std::unique_ptr<Tokenizer> tokenizer = test::load_golden(name);
  const json cases = json::parse(test::read_file(test::golden_folder() / "cases.json"));
  const json goldens =
      json::parse(test::read_file(test::golden_folder() / (name + ".golden.json")));
  REQUIRE(cases.size() > 250);
  REQUIRE(cases.size() == goldens.size());
  for (std::size_t i = 0; i < cases.size(); ++i)
    check_case(*tokenizer, cases[i].get<std::string>(), goldens[i]);
}

TEST_CASE("byte-level BPE with the GPT-2 pattern gives the package's ids") {
  check_goldens("gpt2");
}

TEST_CASE("byte-level BPE with the Llama 3 pattern and ignore_merges gives the package's ids") {
  check_goldens("llama3");
}

TEST_CASE("byte-level BPE with the Qwen 2 pattern, NFC and merges as strings") {
  check_goldens("qwen2");
}

TEST_CASE("BPE with byte fallback as converted from Llama 2 gives the package's ids") {
  check_goldens("llama2");
}

TEST_CASE("Metaspace on the first piece only, unsplit") { check_goldens("metaspace_first"); }

TEST_CASE("Metaspace on every piece, split, without byte fallback") {
  check_goldens("metaspace_split");
}

TEST_CASE("characters without tokens: partial byte fallback, fused unk, no decoder") {
  check_goldens("unknowns");
}

TEST_CASE("added tokens with every flag, NFKC, lower case, single digits, prefix space") {
  check_goldens("flags");
}

}  // namespace
}  // namespace quire::engine
