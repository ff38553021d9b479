// parse_chat: what /v1/chat/completions has beside the shared fields.

#include "proto/openai_chat.h"

#include <array>
#include <nlohmann/json.hpp>

#include "proto/chat_messages.h"
#include "proto/field_table.h"
#include "proto/json_reader.h"

namespace quire::proto {
namespace {

using namespace fields;
using nlohmann::json;

constexpr std::size_t kMaxEffortBytes = 32;

// logprobs and top_logprobs together say how many are told of each token.
void read_logprobs(FieldReader& reader, const Limits& limits, Request& request) {
  const bool wanted = reader.boolean("logprobs").value_or(false);
  const auto top = reader.integer("top_logprobs", {0, limits.max_logprobs});
  if (top && !wanted) return reader.refuse("top_logprobs", "needs logprobs to be true");
  if (wanted) request.sampling.num_logprobs = narrow(top.value_or(0));
}

// The newer name wins.
void read_max_tokens(FieldReader& reader, const Limits& limits, Request& request) {
  const auto old_name = reader.integer("max_tokens", {1, limits.max_tokens});
  const auto new_name = reader.integer("max_completion_tokens", {1, limits.max_tokens});
  const auto value = new_name ? new_name : old_name;
  if (value) request.max_tokens = narrow(*value);
}

void read_modalities(FieldReader& reader, const Limits& /*limits*/, Request& /*request*/) {
  const json* value = reader.find("modalities");
  if (value == nullptr) return;
  if (!value->is_array()) return reader.refuse("modalities", "must be a list");
  for (const json& modality : *value) {
    if (modality != "text") return reader.unsupported("modalities");
  }
}

void read_effort(FieldReader& reader, const Limits& /*limits*/, Request& /*request*/) {
  const auto effort = reader.text("reasoning_effort");
  if (effort && (effort->empty() || effort->size() > kMaxEffortBytes)) {
    reader.refuse("reasoning_effort", "must be a string of 1 to 32 bytes");
  }
}

template <void (*kCheck)(FieldReader&)>
void check(FieldReader& reader, const Limits& /*limits*/, Request& /*request*/) {
  kCheck(reader);
}

constexpr Field kFields[] = {
    {"messages", Special{check<check_messages>}},
    {"tools", Special{check<check_tools>}},
    {"documents", Special{check<check_documents>}},
    {"chat_template_kwargs", Special{check<check_template_kwargs>}},
    {"n", Integer{1, limit<&Limits::max_n>, [](Request& r, std::int64_t v) { r.n = narrow(v); }}},
    {"max_tokens", Special{read_max_tokens}},
    {"logprobs", Special{read_logprobs}},
    {"tool_choice", Special{read_tool_choice}},
    {"modalities", Special{read_modalities}},
    {"reasoning_effort", Special{read_effort}},
    {"add_generation_prompt", Special{[](FieldReader& reader, const Limits&, Request&) {
       (void)reader.boolean("add_generation_prompt");
     }}},
    {"parallel_tool_calls", Special{[](FieldReader& reader, const Limits&, Request&) {
       (void)reader.boolean("parallel_tool_calls");
     }}},
    // A client never brings a template, and none of these is served.
    {"chat_template", NotServed{}},
    {"continue_final_message", NotServed{}},
    {"add_special_tokens", NotServed{}},
    {"echo", NotServed{}},
    {"best_of", NotServed{}},
    {"suffix", NotServed{}},
    {"prompt", NotServed{}},
    {"audio", NotServed{}},
    {"prediction", NotServed{}},
    {"web_search_options", NotServed{}},
    {"mm_processor_kwargs", NotServed{}},
};
constexpr std::array<std::string_view, 2> kAliases{"max_completion_tokens", "top_logprobs"};

// The parts of the body that go to the template, with their keys in order.
void take_trees(std::string_view body, ChatRequest& request) {
  Result<JsonTree> tree = read_json_tree(body);
  CHECK(tree.ok());  // it was read before
  const auto take = [&](std::string_view name) -> std::optional<JsonTree> {
    JsonTree* found = tree->find(name);
    if (found == nullptr || found->is_null()) return std::nullopt;
    return std::move(*found);
  };
  request.messages = *take("messages");
  request.tools = take("tools");
  if (request.tools && std::get<JsonTree::List>(request.tools->value).empty()) {
    request.tools.reset();
  }
  request.documents = take("documents");
  if (auto kwargs = take("chat_template_kwargs")) request.variables = std::move(*kwargs);
  if (auto effort = take("reasoning_effort")) {
    if (request.variables.find("reasoning_effort") == nullptr) {
      std::get<JsonTree::Map>(request.variables.value)
          .push_back({"reasoning_effort", std::move(*effort)});
    }
  }
  open_arguments(request.messages);
}

}  // namespace

Result<ChatRequest> parse_chat(std::string_view body, const RequestLimits& limits) {
  static const std::vector<std::string_view> kNames =
      names_of({kFields, shared_fields()}, kAliases);
  ChatRequest request;
  CompletionRequest& generation = request.generation;
  {
    Result<json> object = read_json_object(body, kNames);
    if (!object) return object.error();
    FieldReader reader(*object);
    read_fields(kFields, reader, limits, generation);
    read_fields(shared_fields(), reader, limits, generation);
    if (generation.max_tokens && generation.sampling.min_tokens > *generation.max_tokens) {
      reader.refuse("min_tokens", "must not be greater than max_tokens");
    }
    request.add_generation_prompt = reader.boolean("add_generation_prompt").value_or(true);
    if (reader.failed()) return *reader.error();
  }
  generation.add_special_tokens = false;
  fill_sampling(generation);
  take_trees(body, request);
  return request;
}

}  // namespace quire::proto
