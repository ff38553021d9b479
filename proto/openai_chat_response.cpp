// Chunks of /v1/chat/completions.

#include "proto/json_writer.h"
#include "proto/logprobs_writer.h"
#include "proto/openai_chat.h"
#include "proto/response_parts.h"

namespace quire::proto {
namespace {

void write_delta(JsonWriter& out, ChatPart part, const Choice& choice, const TokenTexts& texts) {
  out.begin_object().key("index").integer(choice.index);
  out.key("delta").begin_object();
  if (part == ChatPart::kRole) out.key("role").text("assistant").key("content").text("");
  if (part == ChatPart::kContent) out.key("content").text(choice.text);
  out.end_object();
  out.key("logprobs");
  if (part == ChatPart::kContent) {
    write_logprobs(out, AnswerForm::kChat, choice, texts);
  } else {
    out.null();
  }
  if (part == ChatPart::kFinish) {
    write_end(out, choice);
  } else {
    write_finish(out, FinishReason::kNone);
  }
  out.end_object();
}

}  // namespace

std::string chat_chunk(const ResponseHead& head, ChatPart part, const Choice& choice,
                       ChunkUsage mode, const Usage& usage, const TokenTexts& texts) {
  std::string body;
  body.reserve(expected_size(head, {&choice, 1}));
  JsonWriter out(body);
  out.begin_object();
  write_head(out, head, "chat.completion.chunk");
  out.key("choices").begin_array();
  write_delta(out, part, choice, texts);
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
