// Answers and chunks of /v1/chat/completions.

#include "proto/json_writer.h"
#include "proto/openai_chat.h"
#include "proto/response_parts.h"

namespace quire::proto {
namespace {

void write_token(JsonWriter& out, std::string_view bytes, float logprob) {
  out.key("token").text(token_label(bytes));
  out.key("logprob").number(logprob);
  out.key("bytes").begin_array();
  for (const char c : bytes) out.integer(static_cast<unsigned char>(c));
  out.end_array();
}

void write_logprobs(JsonWriter& out, const Choice& choice) {
  out.key("logprobs");
  if (!choice.with_logprobs) {
    out.null();
    return;
  }
  out.begin_object().key("content").begin_array();
  for (const LogprobEntry& entry : choice.logprobs) {
    out.begin_object();
    write_token(out, entry.text, entry.logprob.value_or(0.0f));
    out.key("top_logprobs").begin_array();
    for (const auto& [bytes, logprob] : entry.top) {
      out.begin_object();
      write_token(out, bytes, logprob);
      out.end_object();
    }
    out.end_array().end_object();
  }
  out.end_array().key("refusal").null().end_object();
}

void write_end(JsonWriter& out, const Choice& choice) {
  write_finish(out, choice.finish);
  if (choice.finish != FinishReason::kNone) write_stop_reason(out, choice.stop_reason);
}

void write_delta(JsonWriter& out, ChatPart part, const Choice& choice) {
  out.begin_object().key("index").integer(choice.index);
  out.key("delta").begin_object();
  if (part == ChatPart::kRole) out.key("role").text("assistant").key("content").text("");
  if (part == ChatPart::kContent) out.key("content").text(choice.text);
  out.end_object();
  if (part == ChatPart::kContent) {
    write_logprobs(out, choice);
  } else {
    out.key("logprobs").null();
  }
  if (part == ChatPart::kFinish) {
    write_end(out, choice);
  } else {
    write_finish(out, FinishReason::kNone);
  }
  out.end_object();
}

}  // namespace

std::string chat_body(const ResponseHead& head, std::span<const Choice> choices,
                      const Usage& usage) {
  std::string body;
  body.reserve(expected_size(head, choices));
  JsonWriter out(body);
  out.begin_object();
  write_head(out, head, "chat.completion");
  out.key("choices").begin_array();
  for (const Choice& choice : choices) {
    out.begin_object().key("index").integer(choice.index);
    out.key("message").begin_object().key("role").text("assistant");
    out.key("content").text(choice.text).key("refusal").null().end_object();
    write_logprobs(out, choice);
    write_end(out, choice);
    out.end_object();
  }
  out.end_array();
  write_tail(out, head, ChunkUsage::kGiven, usage);
  out.end_object();
  return body;
}

std::string chat_chunk(const ResponseHead& head, ChatPart part, const Choice& choice,
                       ChunkUsage mode, const Usage& usage) {
  std::string body;
  body.reserve(expected_size(head, {&choice, 1}));
  JsonWriter out(body);
  out.begin_object();
  write_head(out, head, "chat.completion.chunk");
  out.key("choices").begin_array();
  write_delta(out, part, choice);
  out.end_array();
  write_tail(out, head, mode, usage);
  out.end_object();
  return body;
}

std::string chat_usage_chunk(const ResponseHead& head, const Usage& usage) {
  std::string body;
  JsonWriter out(body);
  out.begin_object();
  write_head(out, head, "chat.completion.chunk");
  out.key("choices").begin_array().end_array();
  write_tail(out, head, ChunkUsage::kGiven, usage);
  out.end_object();
  return body;
}

}  // namespace quire::proto
