#pragma once
// What the tests of chat templates share: golden files as trees, rendering with a fixed clock.

#include "engine/tokenizer/template/chat_template.h"
#include "proto/json_tree.h"
#include "tests/tokenizer/test_data.h"

namespace quire::engine::test {

using proto::JsonTree;

inline JsonTree read_tree(const std::string& text) {
  Result<JsonTree> tree = proto::read_json_tree(text);
  REQUIRE(tree.ok());
  return std::move(*tree);
}

inline JsonTree read_template_golden(const std::string& name) {
  return read_tree(
      read_file(std::filesystem::path(QUIRE_SOURCE_DIR) / "tests/golden/templates" / name));
}

inline const std::string& text_of(const JsonTree& tree) {
  return std::get<std::string>(tree.value);
}
inline const JsonTree::List& list_of(const JsonTree& tree) {
  return std::get<JsonTree::List>(tree.value);
}

// 2026-07-26 12:34:56, a Sunday: what make.py has.
inline std::tm golden_now() {
  std::tm now{};
  now.tm_year = 126;
  now.tm_mon = 6;
  now.tm_mday = 26;
  now.tm_hour = 12;
  now.tm_min = 34;
  now.tm_sec = 56;
  now.tm_wday = 0;
  now.tm_yday = 206;
  return now;
}

inline ChatTemplate parse_template(const std::string& source,
                                   ChatTemplate::SpecialTokens tokens = {}) {
  Result<ChatTemplate> parsed = ChatTemplate::parse(source, std::move(tokens));
  INFO(source);
  INFO((parsed ? std::string() : parsed.error().message));
  REQUIRE(parsed.ok());
  return std::move(*parsed);
}

// Renders over names alone; an error of either kind is an Error.
inline Result<ChatPrompt> render_names(const std::string& source, const JsonTree& names) {
  static const JsonTree kNone{JsonTree::List{}};
  Result<ChatTemplate> parsed = ChatTemplate::parse(source, {});
  if (!parsed) return parsed.error();
  const JsonTree* messages = names.find("messages");
  return parsed->render({.messages = messages == nullptr ? kNone : *messages,
                         .variables = &names,
                         .add_generation_prompt = false,
                         .now = golden_now()});
}

}  // namespace quire::engine::test
