#include "proto/response_parts.h"

namespace quire::proto {
namespace {

void write_usage(JsonWriter& out, const Usage& usage) {
  out.begin_object();
  out.key("prompt_tokens").integer(usage.prompt_tokens);
  out.key("completion_tokens").integer(usage.completion_tokens);
  out.key("total_tokens").integer(usage.prompt_tokens + usage.completion_tokens);
  out.key("prompt_tokens_details").begin_object();
  out.key("cached_tokens").integer(usage.cached_tokens).end_object();
  out.end_object();
}

void write_stop_reason(JsonWriter& out, const StopReason& reason) {
  out.key("stop_reason");
  if (const auto* token = std::get_if<TokenId>(&reason)) {
    out.integer(*token);
  } else if (const auto* text = std::get_if<std::string>(&reason)) {
    out.text(*text);
  } else {
    out.null();
  }
}

}  // namespace

void write_head(JsonWriter& out, const ResponseHead& head, std::string_view object) {
  out.key("id").text(head.id);
  out.key("object").text(object);
  out.key("created").integer(head.created);
  out.key("model").text(head.model);
  out.key("system_fingerprint").text(head.system_fingerprint);
}

void write_tail(JsonWriter& out, const ResponseHead& head, ChunkUsage mode, const Usage& usage) {
  if (mode != ChunkUsage::kOmit) out.key("usage");
  if (mode == ChunkUsage::kNull) out.null();
  if (mode == ChunkUsage::kGiven) write_usage(out, usage);
  // As the client would have to send it: seeds are signed on the wire.
  if (head.seed) out.key("seed").integer(static_cast<std::int64_t>(*head.seed));
}

void write_finish(JsonWriter& out, FinishReason finish) {
  out.key("finish_reason");
  switch (finish) {
    case FinishReason::kNone:
      out.null();
      return;
    case FinishReason::kStop:
      out.text("stop");
      return;
    case FinishReason::kLength:
      out.text("length");
      return;
    case FinishReason::kAbort:
      out.text("abort");
      return;
    case FinishReason::kError:
      out.text("error");
      return;
  }
}

void write_end(JsonWriter& out, const Choice& choice) {
  write_finish(out, choice.finish);
  if (choice.finish != FinishReason::kNone) write_stop_reason(out, choice.stop_reason);
}

std::size_t expected_size(const ResponseHead& head, std::span<const Choice> choices) {
  std::size_t bytes = 320 + head.model.size();
  for (const Choice& choice : choices) {
    bytes += 80 + choice.text.size() + choice.text.size() / 16 + choice.logprobs.size() * 64;
  }
  return bytes;
}

}  // namespace quire::proto
