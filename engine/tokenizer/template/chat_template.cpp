#include "engine/tokenizer/template/chat_template.h"

#include <algorithm>
#include <array>

#include "engine/tokenizer/template/parser.h"
#include "engine/tokenizer/template/run.h"

namespace quire::engine {

using jinja::Fuel;
using jinja::TemplateError;
using jinja::Text;
using jinja::Value;
using proto::JsonTree;

struct ChatTemplate::State {
  jinja::Block block;
  SpecialTokens tokens;
  ContentForm form = ContentForm::kText;
};

namespace {

constexpr std::string_view kProbe = "quire-probe";

std::size_t text_bytes(const JsonTree& tree) {
  std::size_t bytes = 8;
  if (const auto* text = std::get_if<std::string>(&tree.value)) bytes += text->size();
  if (const auto* list = std::get_if<JsonTree::List>(&tree.value)) {
    for (const JsonTree& item : *list) bytes += text_bytes(item);
  }
  if (const auto* map = std::get_if<JsonTree::Map>(&tree.value)) {
    for (const auto& [key, value] : *map) bytes += key.size() + text_bytes(value);
  }
  return bytes;
}

// A client's words: all of it foreign. Nested as deep as the reader of JSON allows.
Value to_value(Fuel& fuel, const JsonTree& tree) {
  if (tree.is_null()) return jinja::None{};
  if (const auto* flag = std::get_if<bool>(&tree.value)) return *flag;
  if (const auto* integer = std::get_if<std::int64_t>(&tree.value)) return *integer;
  if (const auto* number = std::get_if<double>(&tree.value)) return *number;
  if (const auto* text = std::get_if<std::string>(&tree.value)) {
    return jinja::make_text(fuel, *text);
  }
  if (const auto* list = std::get_if<JsonTree::List>(&tree.value)) {
    std::vector<Value> items;
    for (const JsonTree& item : *list) items.push_back(to_value(fuel, item));
    return jinja::make_list(fuel, std::move(items));
  }
  std::vector<std::pair<Value, Value>> items;
  for (const auto& [key, value] : std::get<JsonTree::Map>(tree.value)) {
    items.emplace_back(jinja::make_text(fuel, key), to_value(fuel, value));
  }
  return jinja::make_map(fuel, std::move(items));
}

// The words that say who speaks. A template may make a special token of one ('<|' + role + '|>', as
// Phi 3 has it), so they count as the template's own, whoever wrote them; any other role is
// foreign.
constexpr std::array<std::string_view, 6> kRoles{"system",    "developer", "user",
                                                 "assistant", "tool",      "function"};

Value to_role(Fuel& fuel, const JsonTree& tree) {
  const auto* role = std::get_if<std::string>(&tree.value);
  if (role == nullptr || std::ranges::find(kRoles, *role) == kRoles.end()) {
    return to_value(fuel, tree);
  }
  return jinja::make_text(fuel, *role, TextOrigin::kTemplate);
}

Value to_messages(Fuel& fuel, const JsonTree& tree) {
  const auto* list = std::get_if<JsonTree::List>(&tree.value);
  if (list == nullptr) return to_value(fuel, tree);
  std::vector<Value> messages;
  for (const JsonTree& message : *list) {
    const auto* map = std::get_if<JsonTree::Map>(&message.value);
    if (map == nullptr) {
      messages.push_back(to_value(fuel, message));
      continue;
    }
    std::vector<std::pair<Value, Value>> items;
    for (const auto& [key, value] : *map) {
      items.emplace_back(jinja::make_text(fuel, key),
                         key == "role" ? to_role(fuel, value) : to_value(fuel, value));
    }
    messages.push_back(jinja::make_map(fuel, std::move(items)));
  }
  return jinja::make_list(fuel, std::move(messages));
}

using Variables = std::vector<std::pair<std::string, Value>>;

Variables make_variables(Fuel& fuel, const ChatTemplate::SpecialTokens& tokens,
                         const ChatInput& input) {
  const auto optional = [&](const JsonTree* tree) {
    return tree == nullptr ? Value(jinja::None{}) : to_value(fuel, *tree);
  };
  Variables all;
  for (const auto& [name, token] : tokens) {
    all.emplace_back(name, Text(token, TextOrigin::kTemplate));
  }
  if (input.variables != nullptr) {
    for (const auto& [name, value] : std::get<JsonTree::Map>(input.variables->value)) {
      all.emplace_back(name, to_value(fuel, value));
    }
  }
  all.emplace_back("messages", to_messages(fuel, input.messages));
  all.emplace_back("tools", optional(input.tools));
  all.emplace_back("documents", optional(input.documents));
  all.emplace_back("add_generation_prompt", input.add_generation_prompt);
  return all;
}

Error to_error(const TemplateError& error) {
  const std::string what = error.what();
  switch (error.kind()) {
    case TemplateError::Kind::kRefused:
      return {ErrorCode::kInvalidRequest, "The chat template refuses the messages: " + what,
              "messages"};
    case TemplateError::Kind::kFailed:
      return {ErrorCode::kInvalidRequest, "The chat template cannot render the messages: " + what,
              "messages"};
    case TemplateError::Kind::kFuel:
      return {ErrorCode::kInvalidRequest, what, "messages"};
    case TemplateError::Kind::kSyntax:
      break;
  }
  return {ErrorCode::kInvalidRequest, what, "chat_template"};
}

JsonTree message(JsonTree content) {
  JsonTree::Map map;
  map.push_back({"role", JsonTree{std::string("user")}});
  map.push_back({"content", std::move(content)});
  return {std::move(map)};
}

// Whether the template writes the text of this content, and not the content as Python writes a map.
bool writes_probe(const ChatTemplate& chat_template, JsonTree content) {
  const JsonTree messages{JsonTree::List{message(std::move(content))}};
  const Result<ChatPrompt> prompt = chat_template.render({.messages = messages});
  return prompt && prompt->text.find(kProbe) != std::string::npos &&
         prompt->text.find("'text'") == std::string::npos &&
         prompt->text.find("\"text\"") == std::string::npos;
}

ChatTemplate::ContentForm find_form(const ChatTemplate& chat_template) {
  JsonTree::Map part;
  part.push_back({"type", JsonTree{std::string("text")}});
  part.push_back({"text", JsonTree{std::string(kProbe)}});
  const JsonTree parts{JsonTree::List{JsonTree{std::move(part)}}};
  if (!writes_probe(chat_template, parts)) return ChatTemplate::ContentForm::kText;
  const bool text = writes_probe(chat_template, {std::string(kProbe)});
  return text ? ChatTemplate::ContentForm::kEither : ChatTemplate::ContentForm::kParts;
}

}  // namespace

ChatTemplate::ChatTemplate(std::unique_ptr<const State> state) : state_(std::move(state)) {}
ChatTemplate::ChatTemplate(ChatTemplate&& other) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&& other) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, SpecialTokens tokens) {
  auto state = std::make_unique<State>();
  State& made = *state;
  try {
    made.block = jinja::parse_template(source);
  } catch (const TemplateError& error) {
    return to_error(error);
  }
  made.tokens = std::move(tokens);
  ChatTemplate chat_template(std::move(state));
  made.form = find_form(chat_template);
  return chat_template;
}

Result<ChatPrompt> ChatTemplate::render(const ChatInput& input) const {
  std::size_t bytes = text_bytes(input.messages);
  for (const JsonTree* tree : {input.tools, input.documents, input.variables}) {
    if (tree != nullptr) bytes += text_bytes(*tree);
  }
  const auto* messages = std::get_if<JsonTree::List>(&input.messages.value);
  Fuel fuel(messages == nullptr ? 0 : std::ssize(*messages), static_cast<std::int64_t>(bytes));
  try {
    const Variables variables = make_variables(fuel, state_->tokens, input);
    jinja::Run run(fuel, input.now);
    const Text text = run.render(state_->block, variables);
    return ChatPrompt{std::string(text.bytes()), text.runs()};
  } catch (const TemplateError& error) {
    return to_error(error);
  }
}

ChatTemplate::ContentForm ChatTemplate::content_form() const { return state_->form; }

}  // namespace quire::engine
