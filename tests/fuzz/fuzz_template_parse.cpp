// Any bytes as a chat template: refused with a line, or a template that renders any conversation
// within its fuel.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/tokenizer/template/chat_template.h"

namespace {

using namespace quire;
using proto::JsonTree;

const JsonTree& conversation() {
  static const JsonTree tree = [] {
    Result<JsonTree> read = proto::read_json_tree(
        R"([{"role": "system", "content": "a<s>b"}, {"role": "user", "content": "it's \u00e9"},
            {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f",
             "arguments": {"x": [1, 2.5, true, null]}}}]}])");
    if (!read) std::abort();
    return std::move(*read);
  }();
  return tree;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const Result<engine::ChatTemplate> parsed =
      engine::ChatTemplate::parse(source, {{"bos_token", "<s>"}});
  if (!parsed) {
    if (parsed.error().message.empty()) std::abort();
    return 0;
  }
  const Result<engine::ChatPrompt> prompt =
      parsed.value().render({.messages = conversation(), .tools = &conversation()});
  if (!prompt) return 0;
  // The runs cover the text and ascend.
  std::size_t end = 0;
  for (const engine::TextRun& run : prompt.value().runs) {
    if (run.end <= end) std::abort();
    end = run.end;
  }
  if (end != prompt.value().text.size()) std::abort();
  return 0;
}
