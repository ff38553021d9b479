#include "server/request_record.h"

#include <utility>

#include "proto/json_writer.h"
#include "server/log.h"

namespace quire::server {
namespace {

using proto::JsonWriter;

// Milliseconds as the wire tells them; null where it did not happen.
void write_ms(JsonWriter& json, std::string_view key, const std::optional<double>& seconds) {
  json.key(key);
  if (seconds) {
    json.number(static_cast<float>(*seconds * 1e3));
  } else {
    json.null();
  }
}

LogField ms_field(std::string_view key, const std::optional<double>& seconds) {
  if (!seconds) return {key, std::monostate{}};
  return {key, *seconds * 1e3};
}

}  // namespace

void RecentRequests::add(RequestRecord record) {
  // Content is for the log alone.
  record.prompt.clear();
  record.output.clear();
  const std::lock_guard lock(mutex_);
  if (ring_.size() < kMaxRecent) {
    ring_.push_back(std::move(record));
    return;
  }
  ring_[next_] = std::move(record);
  next_ = (next_ + 1) % kMaxRecent;
}

std::optional<RequestRecord> RecentRequests::find(std::string_view id,
                                                  std::string_view key_name) const {
  const std::lock_guard lock(mutex_);
  for (std::size_t age = 1; age <= ring_.size(); ++age) {
    const RequestRecord& record = ring_[(next_ + ring_.size() - age) % ring_.size()];
    if ((record.id == id || record.answer_id == id) && record.key_name == key_name) return record;
  }
  return std::nullopt;
}

std::string_view finish_name(FinishReason finish) {
  switch (finish) {
    case FinishReason::kNone:
      return "none";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kAbort:
      return "abort";
    case FinishReason::kError:
      return "error";
  }
  return "none";
}

std::string request_body(const RequestRecord& record) {
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("id").text(record.id).key("object").text("request");
  json.key("answer_id").text(record.answer_id).key("created").integer(record.created);
  json.key("route").text(record.route).key("status").integer(record.status);
  json.key("finish_reason").text(finish_name(record.finish));
  json.key("prompts").integer(record.num_prompts).key("choices").integer(record.num_choices);
  json.key("prompt_tokens").integer(record.prompt_tokens);
  json.key("completion_tokens").integer(record.output_tokens);
  json.key("cached_tokens").integer(record.cached_tokens);
  json.key("blocks_reused").begin_object();
  for (std::size_t i = 0; i < kPageSourceNames.size(); ++i) {
    json.key(kPageSourceNames[i]).integer(record.reused_blocks[i]);
  }
  json.end_object();
  json.key("prefill_chunks").integer(record.num_prefill_chunks);
  json.key("preemptions").integer(record.num_preemptions);
  write_ms(json, "queue_ms", record.queue_seconds);
  write_ms(json, "first_token_ms", record.first_token_seconds);
  write_ms(json, "ms_per_token", record.seconds_per_token);
  write_ms(json, "largest_gap_ms", record.largest_gap_seconds);
  write_ms(json, "duration_ms", record.seconds);
  json.end_object();
  return body;
}

void log_request(const RequestRecord& record, std::string_view method, std::string_view model,
                 bool with_content) {
  const std::string_view id = record.id;
  const std::string_view key_name = record.key_name;
  const std::int64_t status = record.status;
  const double ms = record.seconds * 1e3;
  if (record.answer_id.empty()) {
    log_info("request", {{"id", id},
                         {"key", key_name},
                         {"method", method},
                         {"route", record.route},
                         {"status", status},
                         {"ms", ms}});
    return;
  }
  log_info("request", {{"id", id},
                       {"answer_id", std::string_view(record.answer_id)},
                       {"key", key_name},
                       {"method", method},
                       {"route", record.route},
                       {"model", model},
                       {"status", status},
                       {"ms", ms},
                       {"stream", std::int64_t{record.stream}},
                       {"prompt_tokens", record.prompt_tokens},
                       {"cached_tokens", record.cached_tokens},
                       {"tokens", record.output_tokens},
                       ms_field("queue_ms", record.queue_seconds),
                       ms_field("first_token_ms", record.first_token_seconds),
                       {"preemptions", std::int64_t{record.num_preemptions}},
                       {"finish_reason", finish_name(record.finish)}});
  if (!with_content) return;
  log_info("content", {{"id", id},
                       {"prompt", std::string_view(record.prompt)},
                       {"output", std::string_view(record.output)}});
}

}  // namespace quire::server
