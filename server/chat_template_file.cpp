#include "server/chat_template_file.h"

#include <fstream>
#include <iterator>
#include <system_error>

#include "proto/error.h"
#include "proto/json_tree.h"

namespace quire::server {
namespace {

namespace fs = std::filesystem;
using engine::ChatTemplate;
using proto::JsonTree;

constexpr std::uintmax_t kMaxFileBytes = std::uintmax_t{16} << 20;
constexpr std::string_view kSpecialTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                               "pad_token", "cls_token", "mask_token"};

[[noreturn]] void fail(const fs::path& file, const std::string& why) {
  throw StartupError(file.string() + ": " + why);
}

std::string read_file(const fs::path& file) {
  std::error_code error;
  if (fs::file_size(file, error) > kMaxFileBytes || error) fail(file, "cannot be read");
  std::ifstream stream(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream && !stream.eof()) fail(file, "cannot be read");
  return text;
}

// A token is written as its text, or as a map with its content.
const std::string* token_text(const JsonTree& config, std::string_view name) {
  const JsonTree* token = config.find(name);
  if (token != nullptr && token->find("content") != nullptr) token = token->find("content");
  return token == nullptr ? nullptr : std::get_if<std::string>(&token->value);
}

ChatTemplate::SpecialTokens special_tokens(const JsonTree& config) {
  ChatTemplate::SpecialTokens tokens;
  for (const std::string_view name : kSpecialTokens) {
    if (const std::string* text = token_text(config, name)) tokens.emplace_back(name, *text);
  }
  return tokens;
}

// The template itself, or of several with names the one called default.
const std::string* template_text(const JsonTree& config) {
  const JsonTree* found = config.find("chat_template");
  if (found == nullptr) return nullptr;
  const auto* several = std::get_if<JsonTree::List>(&found->value);
  if (several == nullptr) return std::get_if<std::string>(&found->value);
  for (const JsonTree& one : *several) {
    const JsonTree* name = one.find("name");
    const JsonTree* text = one.find("template");
    if (name == nullptr || text == nullptr) continue;
    const auto* spelt = std::get_if<std::string>(&name->value);
    if (spelt != nullptr && *spelt == "default") return std::get_if<std::string>(&text->value);
  }
  return nullptr;
}

}  // namespace

std::optional<ChatTemplate> load_chat_template(const fs::path& model_folder,
                                               const std::string& file) {
  const fs::path config_file = model_folder / "tokenizer_config.json";
  fs::path source_file = file.empty() ? model_folder / "chat_template.jinja" : fs::path(file);
  std::error_code ignored;
  JsonTree config;
  if (fs::exists(config_file, ignored)) {
    Result<JsonTree> read = proto::read_json_tree(read_file(config_file));
    if (!read) fail(config_file, "is not valid JSON");
    config = std::move(*read);
  }
  std::string source;
  if (!file.empty() || fs::exists(source_file, ignored)) {
    source = read_file(source_file);
  } else if (const std::string* text = template_text(config)) {
    source = *text;
    source_file = config_file;
  } else {
    return std::nullopt;
  }
  Result<ChatTemplate> parsed = ChatTemplate::parse(source, special_tokens(config));
  if (!parsed) fail(source_file, parsed.error().message);
  return std::move(*parsed);
}

}  // namespace quire::server
