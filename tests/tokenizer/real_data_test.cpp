// Real tokenizers and published cases, where they lie beside the checkout.

#include <sstream>

#include "tests/tokenizer/test_data.h"

namespace quire::engine {
namespace {

bool is_absent(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) return false;
  WARN(path.filename().string() << " is not here: skipped");
  return true;
}

std::vector<std::string> split_cases(const std::string& text) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> cases;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    cases.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  return cases;
}

void check_published_cases(const char* tokenizer_path, const char* cases) {
  const std::filesystem::path folder = test::shared_data() / "tokenizers";
  if (is_absent(folder / tokenizer_path)) return;
  const std::unique_ptr<Tokenizer> tokenizer = test::load_tokenizer(folder / tokenizer_path);
  const std::string stem = std::string("ggml-vocab-") + cases + ".gguf";
  std::istringstream expected(test::read_file(folder / "vocab" / (stem + ".out")));
  int count = 0;
  for (const std::string& text : split_cases(test::read_file(folder / "vocab" / (stem + ".inp")))) {
    std::string line;
    REQUIRE(std::getline(expected, line));
    std::istringstream numbers(line);
    const std::vector<TokenId> ids{std::istream_iterator<TokenId>(numbers), {}};
    CAPTURE(text);
    CHECK(tokenizer->encode(text) == ids);
    ++count;
  }
  CHECK(count == 46);
}

TEST_CASE("GPT-2's tokenizer on the published cases") {
  check_published_cases("gpt2/tokenizer.json", "gpt-2");
}

TEST_CASE("Qwen 2's tokenizer on the published cases") {
  check_published_cases("qwen2-tokenizer.json", "qwen2");
}

TEST_CASE("the stories model's tokenizer: ids of a known prompt, and the text back") {
  const std::filesystem::path path = test::shared_data() / "models/stories260K-hf/tokenizer.json";
  if (is_absent(path)) return;
  const std::unique_ptr<Tokenizer> tokenizer = test::load_tokenizer(path);
  CHECK(tokenizer->vocab_size() == 512);
  const std::vector<TokenId> ids = tokenizer->encode("Once upon a time");
  CHECK(ids == std::vector<TokenId>{1, 403, 407, 261, 378});
  CHECK(tokenizer->decode(ids, true) == "Once upon a time");
}

}  // namespace
}  // namespace quire::engine
