#pragma once
// ChatTemplate: a model's own chat template (Jinja, as transformers runs it): a conversation to the
// text of a prompt, with the origin of each of its bytes.
//
// Immutable after parse(); any thread, each render() its own run.
// 1. render() gives what jinja2 gives in transformers' set-up (trim_blocks, lstrip_blocks, loop
//    controls, immutable sandbox, its own tojson), or an Error; it never crashes, hangs or reaches
//    beyond its input, whatever template and conversation say (fuel.h has the limits).
// 2. In the rendered text, what came from the conversation is kForeign, through every operation:
//    encoded with these runs (Tokenizer::encode_prompt), it makes no special token. A message's
//    role alone is kTemplate where it is one of the usual words (user, assistant, ...).
// 3. An Error repeats nothing of the conversation.
// Cost: about 50 ns per operation of the template; milliseconds for a long conversation.

#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tokenizer/text_origin.h"
#include "proto/error.h"
#include "proto/json_tree.h"

namespace quire::engine {

struct ChatInput {
  const proto::JsonTree& messages;         // a list of maps
  const proto::JsonTree* tools = nullptr;  // null is written none
  const proto::JsonTree* documents = nullptr;
  const proto::JsonTree* variables = nullptr;  // a map of more names (chat_template_kwargs)
  bool add_generation_prompt = true;
  std::tm now = {};  // what strftime_now() tells
};

struct ChatPrompt {
  std::string text;
  std::vector<TextRun> runs;
};

class ChatTemplate final {
 public:
  // The tokenizer's special tokens by the names that templates know (bos_token, eos_token, ...).
  using SpecialTokens = std::vector<std::pair<std::string, std::string>>;

  // Errors name the line.
  static Result<ChatTemplate> parse(std::string_view source, SpecialTokens tokens);

  ChatTemplate(ChatTemplate&& other) noexcept;
  ChatTemplate& operator=(ChatTemplate&& other) noexcept;
  ~ChatTemplate();

  [[nodiscard]] Result<ChatPrompt> render(const ChatInput& input) const;

  // How the template wants a message's content, found out by rendering one.
  enum class ContentForm : std::uint8_t { kText, kParts, kEither };
  [[nodiscard]] ContentForm content_form() const;

 private:
  struct State;
  explicit ChatTemplate(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

}  // namespace quire::engine
