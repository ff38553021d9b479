#include "server/commands/bench_stream.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace quire::server {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxEvent = std::size_t{16} << 20;  // bytes; a server that never ends a line
constexpr std::int64_t kMostTextless = 4;                 // tokens of an answer without any text
constexpr std::size_t kMaxMessage = 200;                  // bytes of a server's words in a report

std::int64_t count_of(const json& usage, const char* name) {
  const auto member = usage.find(name);
  return member != usage.end() && member->is_number_integer() ? member->get<std::int64_t>() : -1;
}

std::string message_of(const json& body) {
  const auto error = body.is_object() ? body.find("error") : body.end();
  if (!body.is_object() || error == body.end()) return {};
  if (error->is_string()) return error->get<std::string>().substr(0, kMaxMessage);
  const auto message = error->is_object() ? error->find("message") : error->end();
  if (!error->is_object() || message == error->end() || !message->is_string()) return "unnamed";
  return message->get<std::string>().substr(0, kMaxMessage);
}

// Whether the member says anything.
bool says(const json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && member->is_string() &&
         !member->get_ref<const std::string&>().empty();
}

// Whether a choice brings text; nothing where it has no place for any.
std::optional<bool> text_of(const json& choice) {
  const auto text = choice.find("text");
  if (text != choice.end() && text->is_string()) return says(choice, "text");
  const auto delta = choice.find("delta");
  if (delta == choice.end() || !delta->is_object()) return std::nullopt;
  return says(*delta, "content") || says(*delta, "reasoning_content");
}

}  // namespace

std::string error_message_of(std::string_view body) {
  return message_of(json::parse(body, nullptr, false));
}

void StreamCheck::feed(std::string_view bytes, double now) {
  while (!bytes.empty() && result_.ok()) {
    const std::size_t end = bytes.find('\n');
    if (end == std::string_view::npos) {
      partial_ += bytes;
      if (partial_.size() > kMaxEvent) fail("a line is longer than 16 MiB");
      return;
    }
    partial_ += bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    if (partial_.ends_with('\r')) partial_.pop_back();
    take_line(partial_, now);
    partial_.clear();
  }
}

void StreamCheck::take_line(std::string_view line, double now) {
  constexpr std::string_view kData = "data:";
  if (line.empty()) {
    if (has_data_) take_event(now);
    data_.clear();
    has_data_ = false;
  } else if (line.starts_with(kData)) {
    line.remove_prefix(kData.size());
    if (line.starts_with(' ')) line.remove_prefix(1);
    if (has_data_) data_ += '\n';
    data_ += line;
    has_data_ = true;
    if (data_.size() > kMaxEvent) fail("an event is longer than 16 MiB");
  }  // comments and other fields say nothing about the answer
}

void StreamCheck::take_event(double now) {
  if (done_) return fail("an event after [DONE]");
  if (data_ == "[DONE]") {
    done_ = true;
    return;
  }
  const json chunk = json::parse(data_, nullptr, false);
  if (!chunk.is_object()) return fail("an event is no JSON object");
  if (chunk.contains("error")) return fail("an error in the stream: " + message_of(chunk));
  take_chunk(chunk, now);
}

void StreamCheck::take_chunk(const json& chunk, double now) {
  const auto choices = chunk.find("choices");
  if (choices == chunk.end() || !choices->is_array()) return fail("a chunk without choices");
  for (const json& choice : *choices) take_choice(choice, now);
  const auto usage = chunk.find("usage");
  if (usage == chunk.end() || !usage->is_object()) return;
  result_.prompt_tokens = count_of(*usage, "prompt_tokens");
  result_.completion_tokens = count_of(*usage, "completion_tokens");
  if (result_.prompt_tokens < 0 || result_.completion_tokens < 0) {
    return fail("usage without token counts");
  }
  has_usage_ = true;
}

void StreamCheck::take_choice(const json& choice, double now) {
  if (!choice.is_object()) return fail("a choice is no JSON object");
  if (choice.value("index", json(0)) != 0) return fail("a choice that was not asked for");
  const std::optional<bool> has_text = text_of(choice);
  if (!has_text) return fail("a choice without text");
  if (finished_ && *has_text) return fail("text after the finish_reason");
  if (*has_text) take_text(now);
  const auto reason = choice.find("finish_reason");
  if (reason == choice.end() || reason->is_null()) return;
  if (finished_) return fail("two finish_reasons for one choice");
  if (*reason != "stop" && *reason != "length") return fail("finish_reason is not stop or length");
  finished_ = true;
  finish_at_ = now;
}

void StreamCheck::take_text(double now) {
  if (has_text_) {
    result_.gaps.push_back(static_cast<float>(now - result_.last_text));
  } else {
    result_.first_text = now;
  }
  has_text_ = true;
  result_.last_text = now;
}

void StreamCheck::fail(std::string reason) {
  if (result_.ok()) result_.failure = std::move(reason);
}

BenchResult StreamCheck::finish(double now) {
  result_.end = now;
  if (!partial_.empty() || has_data_) fail("ended in the middle of an event");
  if (!finished_) fail("ended without a finish_reason");
  if (!done_) fail("ended without [DONE]");
  if (!has_usage_) fail("ended without usage");
  // The pieces of one character, and an end token that was not heeded, show no text.
  if (!has_text_ && result_.completion_tokens > kMostTextless) fail("ended without text");
  if (!has_text_) result_.first_text = result_.last_text = finish_at_;
  return std::move(result_);
}

}  // namespace quire::server
