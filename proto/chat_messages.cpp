#include "proto/chat_messages.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "proto/openai_chat.h"

namespace quire::proto {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxRoleBytes = 64;
constexpr std::size_t kMaxNameBytes = 256;
constexpr std::size_t kMaxParts = 1024;
constexpr std::size_t kMaxDocuments = 128;
constexpr std::size_t kMaxKwargBytes = 256;

const json* member(const json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

bool is_short_text(const json& value, std::size_t most) {
  return value.is_string() && !value.get_ref<const std::string&>().empty() &&
         value.get_ref<const std::string&>().size() <= most;
}

void check_part(FieldReader& reader, const json& part, const std::string& path) {
  if (!part.is_object()) return reader.refuse(path, "must be an object");
  const json* type = member(part, "type");
  if (type == nullptr || !type->is_string()) {
    return reader.refuse(path + ".type", "must be a string");
  }
  if (*type != "text") return reader.unsupported(path);
  const json* text = member(part, "text");
  if (text == nullptr || !text->is_string()) reader.refuse(path + ".text", "must be a string");
}

void check_content(FieldReader& reader, const json& message, const std::string& path) {
  const json* content = member(message, "content");
  const std::string here = path + ".content";
  if (content == nullptr) {
    if (message["role"] != "assistant") reader.refuse(here, "is required");
    return;
  }
  if (content->is_string()) return;
  if (!content->is_array() || content->empty() || content->size() > kMaxParts) {
    return reader.refuse(here, "must be a string or a list of 1 to 1024 parts");
  }
  for (std::size_t i = 0; i < content->size() && !reader.failed(); ++i) {
    check_part(reader, (*content)[i], element(here, i));
  }
}

void check_call(FieldReader& reader, const json& call, const std::string& path) {
  const json* function = call.is_object() ? member(call, "function") : nullptr;
  if (function == nullptr || !function->is_object()) {
    return reader.refuse(path, "must be an object with a function, which is an object");
  }
  const json* name = member(*function, "name");
  if (name == nullptr || !is_short_text(*name, kMaxNameBytes)) {
    return reader.refuse(path + ".function.name", "must be a string of 1 to 256 bytes");
  }
  const json* arguments = member(*function, "arguments");
  if (arguments != nullptr && !arguments->is_string() && !arguments->is_object()) {
    reader.refuse(path + ".function.arguments", "must be a string or an object");
  }
}

void check_calls(FieldReader& reader, const json& message, const std::string& path) {
  const json* calls = member(message, "tool_calls");
  if (calls == nullptr) return;
  const std::string here = path + ".tool_calls";
  if (!calls->is_array() || calls->size() > kMaxTools) {
    return reader.refuse(here, "must be a list of at most 128 calls");
  }
  for (std::size_t i = 0; i < calls->size() && !reader.failed(); ++i) {
    check_call(reader, (*calls)[i], element(here, i));
  }
}

void check_message(FieldReader& reader, const json& message, const std::string& path) {
  if (!message.is_object()) return reader.refuse(path, "must be an object");
  const json* role = member(message, "role");
  if (role == nullptr || !is_short_text(*role, kMaxRoleBytes)) {
    return reader.refuse(path + ".role", "must be a string of 1 to 64 bytes");
  }
  for (const char* name : {"name", "tool_call_id", "refusal", "reasoning_content", "reasoning"}) {
    const json* value = member(message, name);
    if (value != nullptr && !value->is_string()) {
      return reader.refuse(path + "." + name, "must be a string");
    }
  }
  if (member(message, "audio") != nullptr) return reader.unsupported(path + ".audio");
  check_content(reader, message, path);
  if (!reader.failed()) check_calls(reader, message, path);
}

// What a template may be told beside the conversation, and of which kind it is.
struct Kwarg {
  std::string_view name;
  bool is_text;
};
constexpr Kwarg kKwargs[] = {
    {"enable_thinking", false},
    {"thinking", false},
    {"preserve_thinking", false},
    {"clear_thinking", false},
    {"tools_in_user_message", false},
    {"keep_past_thinking", false},
    {"reasoning_effort", true},
    {"model_identity", true},
    {"date_string", true},
    {"thinking_mode", true},
};

}  // namespace

void check_messages(FieldReader& reader) {
  const json* messages = reader.find("messages");
  if (messages == nullptr) return reader.refuse("messages", "is required");
  if (!messages->is_array() || messages->empty() || messages->size() > kMaxMessages) {
    return reader.refuse("messages", "must be a list of 1 to 2048 messages");
  }
  for (std::size_t i = 0; i < messages->size() && !reader.failed(); ++i) {
    check_message(reader, (*messages)[i], element("messages", i));
  }
}

void check_tools(FieldReader& reader) {
  const json* tools = reader.find("tools");
  if (tools == nullptr) return;
  if (!tools->is_array() || tools->size() > kMaxTools) {
    return reader.refuse("tools", "must be a list of at most 128 tools");
  }
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const std::string path = element("tools", i);
    const json& tool = (*tools)[i];
    const json* function = tool.is_object() ? member(tool, "function") : nullptr;
    const json* name =
        function == nullptr || !function->is_object() ? nullptr : member(*function, "name");
    if (name == nullptr || !is_short_text(*name, kMaxNameBytes)) {
      return reader.refuse(path, "must be an object with a function, which has a name");
    }
    const json* type = member(tool, "type");
    if (type != nullptr && *type != "function") return reader.unsupported(path);
    if (tool.dump().size() > kMaxToolBytes) {
      return reader.refuse(path, "must be at most 65536 bytes");
    }
  }
}

void check_documents(FieldReader& reader) {
  const json* documents = reader.find("documents");
  if (documents == nullptr) return;
  if (!documents->is_array() || documents->size() > kMaxDocuments) {
    return reader.refuse("documents", "must be a list of at most 128 documents");
  }
  for (std::size_t i = 0; i < documents->size(); ++i) {
    if (!(*documents)[i].is_object()) {
      return reader.refuse(element("documents", i), "must be an object");
    }
  }
}

void check_template_kwargs(FieldReader& reader) {
  const json* kwargs = reader.find("chat_template_kwargs");
  if (kwargs == nullptr) return;
  if (!kwargs->is_object()) return reader.refuse("chat_template_kwargs", "must be an object");
  for (const auto& [name, value] : kwargs->items()) {
    const auto* known = std::ranges::find(kKwargs, std::string_view(name), &Kwarg::name);
    if (known == std::end(kKwargs)) return reader.unsupported("chat_template_kwargs");
    const std::string path = "chat_template_kwargs." + std::string(known->name);
    if (known->is_text && !is_short_text(value, kMaxKwargBytes)) {
      return reader.refuse(path, "must be a string of 1 to 256 bytes");
    }
    if (!known->is_text && !value.is_boolean()) return reader.refuse(path, "must be a boolean");
  }
}

void open_arguments(JsonTree& messages) {
  for (JsonTree& message : std::get<JsonTree::List>(messages.value)) {
    JsonTree* calls = message.find("tool_calls");
    if (calls == nullptr || calls->is_null()) continue;
    for (JsonTree& call : std::get<JsonTree::List>(calls->value)) {
      JsonTree* arguments = call.find("function")->find("arguments");
      if (arguments == nullptr) continue;
      const auto* text = std::get_if<std::string>(&arguments->value);
      if (text == nullptr) continue;
      Result<JsonTree> opened = read_json_tree(*text);
      if (opened && std::holds_alternative<JsonTree::Map>(opened->value)) {
        *arguments = std::move(*opened);
      }
    }
  }
}

}  // namespace quire::proto
