// Where chat templates come from, and prompts that have a middle to fill.

#include <unistd.h>

#include <fstream>

#include "server/chat_template_file.h"
#include "server/handlers/fill_in_the_middle.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::server {
namespace {

namespace fs = std::filesystem;

// A folder that goes with the test.
class Folder final {
 public:
  Folder() : path_(fs::temp_directory_path() / ("quire-chat-" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }
  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return path_ / name;
  }

 private:
  fs::path path_;
};

std::string rendered(const std::optional<engine::ChatTemplate>& chat_template) {
  if (!chat_template) return "none";
  const proto::JsonTree messages{proto::JsonTree::List{}};
  const auto prompt = chat_template->render({.messages = messages});
  return prompt ? prompt.value().text : prompt.error().message;
}

std::string start_error(const fs::path& folder, const std::string& file) {
  try {
    (void)load_chat_template(folder, file);
  } catch (const StartupError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("a chat template from the operator, from its own file, or from the tokenizer's") {
  const Folder folder;
  CHECK(rendered(load_chat_template(folder.path(), "")) == "none");
  folder.write("tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>",
                                            "pad_token": null})");
  CHECK(rendered(load_chat_template(folder.path(), "")) == "none");
  folder.write("tokenizer_config.json",
               R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "chat_template":
                   "{{ bos_token }}config{{ eos_token }}{{ pad_token is defined }}"})");
  CHECK(rendered(load_chat_template(folder.path(), "")) == "<s>config</s>False");
  folder.write("chat_template.jinja", "{{ bos_token }}file");
  CHECK(rendered(load_chat_template(folder.path(), "")) == "<s>file");
  const fs::path own = folder.write("own", "own{{ eos_token }}");
  CHECK(rendered(load_chat_template(folder.path(), own.string())) == "own</s>");
}

TEST_CASE("of several templates with names the one called default counts") {
  const Folder folder;
  folder.write("tokenizer_config.json", R"({"chat_template": [
    {"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]})");
  CHECK(rendered(load_chat_template(folder.path(), "")) == "plain");
  folder.write("tokenizer_config.json", R"({"chat_template": [{"name": "x", "template": "x"}]})");
  CHECK(rendered(load_chat_template(folder.path(), "")) == "none");
}

TEST_CASE("a chat template that is none stops the start, naming its file") {
  const Folder folder;
  CHECK_THAT(start_error(folder.path(), (folder.path() / "missing").string()),
             Catch::Contains("missing: cannot be read"));
  const fs::path bad = folder.write("bad", "\n{% if %}");
  CHECK_THAT(start_error(folder.path(), bad.string()),
             Catch::Contains("bad: ") && Catch::Contains("line 2 of the template"));
  folder.write("tokenizer_config.json", "{");
  CHECK_THAT(start_error(folder.path(), ""), Catch::Contains("not valid JSON"));
}

std::unique_ptr<engine::Tokenizer> tokenizer_with(const std::vector<std::string>& special) {
  std::string added;
  for (std::size_t i = 0; i < special.size(); ++i) {
    added += std::string(i > 0 ? ", " : "") + R"({"id": )" + std::to_string(10 + i) +
             R"(, "content": ")" + special[i] + R"(", "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false})";
  }
  auto made = engine::Tokenizer::parse(R"({"added_tokens": [)" + added +
                                           R"(], "decoder": {"type": "Fuse"},
             "model": {"vocab": {"a": 0, "b": 1, "<": 2, "s": 3, ">": 4}, "merges": []}})",
                                       "t.json");
  INFO((made ? std::string() : made.error().message));
  REQUIRE(made.ok());
  return std::move(*made);
}

TEST_CASE("the middle is asked for between prompt and suffix, special tokens in front") {
  using Ids = std::vector<TokenId>;
  const auto qwen = tokenizer_with({"<s>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"});
  CHECK(*fill_in_the_middle(*qwen, {0, 1}, "b") == Ids{11, 0, 1, 12, 1, 13});
  CHECK(*fill_in_the_middle(*qwen, {10, 0}, "a") == Ids{10, 11, 0, 12, 0, 13});
  CHECK(*fill_in_the_middle(*qwen, {10}, "a") == Ids{10, 11, 12, 0, 13});
  // The suffix is text, whatever it says.
  CHECK(*fill_in_the_middle(*qwen, {0}, "<s>") == Ids{11, 0, 12, 2, 3, 4, 13});
  const auto starcoder = tokenizer_with({"<fim_prefix>", "<fim_middle>", "<fim_suffix>"});
  CHECK(*fill_in_the_middle(*starcoder, {0}, "b") == Ids{10, 0, 12, 1, 11});
  const auto plain = tokenizer_with({"<|fim_prefix|>", "<|fim_middle|>"});
  const auto refused = fill_in_the_middle(*plain, {0}, "b");
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::kUnsupported);
  CHECK(refused.error().param == "suffix");
}

}  // namespace
}  // namespace quire::server
