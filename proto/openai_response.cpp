// Chunks of /v1/completions, and the model list: written straight to a string, since a
// busy daemon writes thousands of chunks a second.

#include "proto/json_writer.h"
#include "proto/logprobs_writer.h"
#include "proto/openai.h"
#include "proto/response_parts.h"
#include "proto/utf8.h"

namespace quire::proto {
namespace {

void write_choice(JsonWriter& out, const Choice& choice, const TokenTexts& texts) {
  out.begin_object();
  out.key("index").integer(choice.index);
  out.key("text").text(choice.text);
  out.key("logprobs");
  write_logprobs(out, AnswerForm::kCompletion, choice, texts);
  write_end(out, choice);
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

std::string completion_chunk(const ResponseHead& head, std::span<const Choice> choices,
                             ChunkUsage mode, const Usage& usage, const TokenTexts& texts) {
  std::string body;
  body.reserve(expected_size(head, choices));
  JsonWriter out(body);
  out.begin_object();
  write_head(out, head, "text_completion");
  out.key("choices").begin_array();
  for (const Choice& choice : choices) write_choice(out, choice, texts);
  out.end_array();
  write_tail(out, head, mode, usage);
  out.end_object();
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
