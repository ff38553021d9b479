// Answers and chunks of /v1/completions, and the model list: written straight to a string, since a
// busy daemon writes thousands of chunks a second.

#include <algorithm>

#include "proto/json_writer.h"
#include "proto/openai.h"
#include "proto/response_parts.h"
#include "proto/utf8.h"

namespace quire::proto {
namespace {

// An object from spelling to logprob. Two tokens may share a spelling and an object's keys are
// distinct: the better one, which comes first, stays. The token itself is always among them.
void write_top(JsonWriter& out, const LogprobEntry& entry) {
  using Alternative = std::pair<std::string, float>;
  out.begin_object();
  bool has_own = false;
  for (auto it = entry.top.begin(); it != entry.top.end(); ++it) {
    if (std::ranges::find(entry.top.begin(), it, it->first, &Alternative::first) != it) continue;
    has_own = has_own || it->first == entry.text;
    out.key(it->first).number(it->second);
  }
  if (!has_own) out.key(entry.text).number(*entry.logprob);
  out.end_object();
}

void write_logprobs(JsonWriter& out, const Choice& choice) {
  out.begin_object();
  out.key("text_offset").begin_array();
  for (const LogprobEntry& entry : choice.logprobs) out.integer(entry.text_offset);
  out.end_array().key("token_logprobs").begin_array();
  for (const LogprobEntry& entry : choice.logprobs) {
    entry.logprob ? out.number(*entry.logprob) : out.null();
  }
  out.end_array().key("tokens").begin_array();
  for (const LogprobEntry& entry : choice.logprobs) out.text(entry.text);
  out.end_array().key("top_logprobs").begin_array();
  for (const LogprobEntry& entry : choice.logprobs) {
    if (entry.logprob) {
      write_top(out, entry);
    } else {
      out.null();
    }
  }
  out.end_array().end_object();
}

void write_choice(JsonWriter& out, const Choice& choice) {
  out.begin_object();
  out.key("index").integer(choice.index);
  out.key("text").text(choice.text);
  out.key("logprobs");
  if (choice.with_logprobs) {
    write_logprobs(out, choice);
  } else {
    out.null();
  }
  write_finish(out, choice.finish);
  if (choice.finish != FinishReason::kNone) write_stop_reason(out, choice.stop_reason);
  out.end_object();
}

void write_completion(JsonWriter& out, const ResponseHead& head, std::span<const Choice> choices,
                      ChunkUsage mode, const Usage& usage) {
  out.begin_object();
  write_head(out, head, "text_completion");
  out.key("choices").begin_array();
  for (const Choice& choice : choices) write_choice(out, choice);
  out.end_array();
  write_tail(out, head, mode, usage);
  out.end_object();
}

void write_model(JsonWriter& out, const ModelCard& model) {
  out.begin_object();
  out.key("id").text(model.id);
  out.key("object").text("model");
  out.key("created").integer(model.created);
  out.key("owned_by").text("quire");
  out.key("max_model_len").integer(model.max_model_len);
  out.end_object();
}

}  // namespace

std::string token_label(std::string_view token_bytes) {
  if (is_utf8(token_bytes)) return std::string(token_bytes);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string label = "bytes:";
  for (const char c : token_bytes) {
    const auto byte = static_cast<unsigned char>(c);
    label += "\\x";
    label += kHex[byte >> 4];
    label += kHex[byte & 15];
  }
  return label;
}

std::string completion_body(const ResponseHead& head, std::span<const Choice> choices,
                            const Usage& usage) {
  return completion_chunk(head, choices, ChunkUsage::kGiven, usage);
}

std::string completion_chunk(const ResponseHead& head, std::span<const Choice> choices,
                             ChunkUsage mode, const Usage& usage) {
  std::string body;
  body.reserve(expected_size(head, choices));
  JsonWriter out(body);
  write_completion(out, head, choices, mode, usage);
  return body;
}

std::string models_body(std::span<const ModelCard> models) {
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("object").text("list").key("data").begin_array();
  for (const ModelCard& model : models) write_model(out, model);
  out.end_array().end_object();
  return body;
}

std::string model_body(const ModelCard& model) {
  std::string body;
  JsonWriter out(body);
  write_model(out, model);
  return body;
}

std::string version_body() {
  std::string body;
  JsonWriter(body).begin_object().key("version").text(QUIRE_VERSION).end_object();
  return body;
}

}  // namespace quire::proto
