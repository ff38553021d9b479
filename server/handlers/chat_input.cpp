// read_chat: a conversation to a prompt, by the model's chat template.

#include <ctime>
#include <limits>

#include "proto/openai_chat.h"
#include "server/handlers/completion_input.h"
#include "server/handlers/handlers.h"

namespace quire::server {
namespace {

using engine::ChatTemplate;
using proto::JsonTree;

// Parts become one text, a line each, for a template that knows no parts; and the other way round.
void join_parts(JsonTree& content) {
  std::string text;
  for (const JsonTree& part : std::get<JsonTree::List>(content.value)) {
    if (!text.empty()) text += '\n';
    text += std::get<std::string>(part.find("text")->value);
  }
  content.value = std::move(text);
}

void make_parts(JsonTree& content) {
  JsonTree::Map part;
  part.push_back({"type", {std::string("text")}});
  part.push_back({"text", {std::move(std::get<std::string>(content.value))}});
  JsonTree::List parts;
  parts.emplace_back().value = std::move(part);
  content.value = std::move(parts);
}

void fit_contents(JsonTree& messages, ChatTemplate::ContentForm form) {
  for (JsonTree& message : std::get<JsonTree::List>(messages.value)) {
    JsonTree* content = message.find("content");
    if (content == nullptr || content->is_null()) continue;
    const bool is_text = std::holds_alternative<std::string>(content->value);
    if (!is_text && form == ChatTemplate::ContentForm::kText) join_parts(*content);
    if (is_text && form == ChatTemplate::ContentForm::kParts) make_parts(*content);
  }
}

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm broken_down{};
  (void)localtime_r(&now, &broken_down);
  return broken_down;
}

}  // namespace

Result<CompletionInput> read_chat(const Service& service, const engine::Engine& engine,
                                  std::string_view body, std::uint64_t seed) {
  Result<proto::ChatRequest> parsed = proto::parse_chat(body, service.request_limits());
  if (!parsed) return parsed.error();
  proto::CompletionRequest& request = parsed->generation;
  if (auto error = check_model(service, request.model)) return *error;
  const ChatTemplate* chat_template = service.chat_template();
  if (chat_template == nullptr) {
    return Error{ErrorCode::kUnsupported, "This model has no chat template.", "messages"};
  }
  fit_contents(parsed->messages, chat_template->content_form());
  const auto pointer = [](const std::optional<JsonTree>& tree) { return tree ? &*tree : nullptr; };
  const Result<engine::ChatPrompt> prompt =
      chat_template->render({.messages = parsed->messages,
                             .tools = pointer(parsed->tools),
                             .documents = pointer(parsed->documents),
                             .variables = &parsed->variables,
                             .add_generation_prompt = parsed->add_generation_prompt,
                             .now = local_time()});
  if (!prompt) return prompt.error();

  CompletionInput input;
  input.form = AnswerForm::kChat;
  std::vector<TokenId> tokens =
      engine.tokenizer().encode_prompt(prompt.value().text, prompt.value().runs);
  if (tokens.empty()) {
    return Error{ErrorCode::kInvalidRequest, "The chat template made an empty prompt.", "messages"};
  }
  input.num_prompt_tokens = static_cast<std::int64_t>(tokens.size());
  if (auto error = check_context(engine, request, input.num_prompt_tokens, "messages")) {
    return *error;
  }
  input.generation.prompts.push_back(std::move(tokens));
  return finish_input(service, engine, request, std::move(input),
                      std::numeric_limits<std::int64_t>::max(), seed);
}

}  // namespace quire::server
