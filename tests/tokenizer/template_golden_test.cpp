// Templates against jinja2 as transformers sets it up (tests/golden/templates/make.py).

#include "tests/tokenizer/template_data.h"

namespace quire::engine {
namespace {

using test::JsonTree;

std::string fnv1a(std::string_view data) {
  std::uint64_t value = 0xCBF29CE484222325u;
  for (const char byte : data) value = (value ^ static_cast<unsigned char>(byte)) * 0x100000001B3u;
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

// One rendering of a conversation beside the names that its file gives.
Result<ChatPrompt> render(const ChatTemplate& chat_template, const JsonTree& conversation,
                          bool generate) {
  return chat_template.render({.messages = *conversation.find("messages"),
                               .tools = conversation.find("tools"),
                               .documents = nullptr,
                               .variables = &conversation,
                               .add_generation_prompt = generate,
                               .now = test::golden_now()});
}

ChatTemplate::SpecialTokens special_tokens(const JsonTree& golden) {
  ChatTemplate::SpecialTokens tokens;
  for (const auto& [name, token] : std::get<JsonTree::Map>(golden.find("special_tokens")->value)) {
    tokens.emplace_back(name, test::text_of(token));
  }
  return tokens;
}

TEST_CASE("small templates and random programs give what jinja2 gives") {
  const JsonTree golden = test::read_template_golden("expressions.json");
  const JsonTree& names = *golden.find("variables");
  const auto& cases = test::list_of(*golden.find("cases"));
  CHECK(cases.size() > 1000);
  for (const JsonTree& row : cases) {
    const std::string& source = test::text_of(*row.find("template"));
    const Result<ChatPrompt> got = test::render_names(source, names);
    CAPTURE(source, got ? got->text : got.error().message);
    const JsonTree* expected = row.find("out");
    CHECK(got.ok() == (expected != nullptr));
    if (got && expected != nullptr) CHECK(got->text == test::text_of(*expected));
  }
}

TEST_CASE("templates written here, over every conversation") {
  const JsonTree golden = test::read_template_golden("conversations.json");
  const auto& conversations = test::list_of(*golden.find("conversations"));
  const auto& templates = test::list_of(*golden.find("templates"));
  CHECK(templates.size() >= 30);
  for (const JsonTree& row : templates) {
    const ChatTemplate chat_template =
        test::parse_template(test::text_of(*row.find("source")), special_tokens(golden));
    const auto& renderings = test::list_of(*row.find("renderings"));
    REQUIRE(renderings.size() == 2 * conversations.size());
    for (std::size_t i = 0; i < renderings.size(); ++i) {
      const Result<ChatPrompt> got = render(chat_template, conversations[i / 2], i % 2 == 1);
      CAPTURE(test::text_of(*row.find("name")), i, got ? got->text : got.error().message);
      const JsonTree* expected = renderings[i].find("out");
      CHECK(got.ok() == (expected != nullptr));
      if (got && expected != nullptr) CHECK(got->text == test::text_of(*expected));
    }
  }
}

TEST_CASE("templates of real models") {
  const std::filesystem::path folder = test::shared_data() / "chat-templates";
  if (!std::filesystem::exists(folder)) {
    WARN("skipped: no real chat templates here");
    return;
  }
  const JsonTree golden = test::read_template_golden("conversations.json");
  const auto& conversations = test::list_of(*golden.find("conversations"));
  const JsonTree real = test::read_template_golden("real_templates.json");
  std::size_t num_compared = 0;
  for (const JsonTree& row : test::list_of(real)) {
    const std::string& file = test::text_of(*row.find("file"));
    const ChatTemplate chat_template =
        test::parse_template(test::read_file(folder / file), special_tokens(golden));
    const auto& renderings = test::list_of(*row.find("renderings"));
    for (std::size_t i = 0; i < renderings.size(); ++i) {
      const Result<ChatPrompt> got = render(chat_template, conversations[i / 2], i % 2 == 1);
      CAPTURE(file, i, got ? got->text : got.error().message);
      const JsonTree* expected = renderings[i].find("fnv1a");
      CHECK(got.ok() == (expected != nullptr));
      if (got && expected != nullptr) CHECK(fnv1a(got->text) == test::text_of(*expected));
      ++num_compared;
    }
  }
  CHECK(num_compared > 500);
}

}  // namespace
}  // namespace quire::engine
