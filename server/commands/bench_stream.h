#pragma once
// StreamCheck reads one streamed completion as it arrives, measures it, and says whether it ended
// as an accepted stream must: one finish_reason per choice, then usage, then [DONE], then nothing.
//
// A choice's text is `text` (completions) or `delta.content` (chats; `delta.reasoning_content`
// too).
//
// Lifetime: one per request. One thread. Times are seconds since the request was sent, given by
// the caller, never read from a clock.
// 1. After the first fault the rest is ignored: failure() is about the first.
// Cost: linear in the bytes; one JSON parse per event, about 2 microseconds.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace quire::server {

// One request as measured. Times in seconds since it was sent; in an open loop, since it was due.
struct BenchResult {
  std::string failure;  // empty: it went well
  double start = 0;     // when that was, since the start of the run
  double lag = 0;       // how long after it was due it was really sent
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  double first_text = 0;  // the first non-empty text
  double last_text = 0;
  double end = 0;           // the end of the body
  std::vector<float> gaps;  // between one non-empty text and the next
  [[nodiscard]] bool ok() const { return failure.empty(); }
};

class StreamCheck final {
 public:
  // Bytes of the body.
  void feed(std::string_view bytes, double now);
  [[nodiscard]] bool has_text() const { return has_text_; }
  // Non-empty texts so far; of most servers each is one token.
  [[nodiscard]] std::size_t texts() const { return has_text_ ? result_.gaps.size() + 1 : 0; }
  // The body has ended.
  [[nodiscard]] BenchResult finish(double now);

 private:
  void take_line(std::string_view line, double now);
  void take_event(double now);
  void take_chunk(const nlohmann::json& chunk, double now);
  void take_choice(const nlohmann::json& choice, double now);
  void take_text(double now);
  void fail(std::string reason);

  BenchResult result_;
  std::string partial_;  // a line whose end has not arrived
  std::string data_;     // of the event being read
  bool has_data_ = false;
  bool has_text_ = false;
  bool finished_ = false;  // the one choice has its finish_reason
  double finish_at_ = 0;
  bool has_usage_ = false;
  bool done_ = false;
};

// What a body that is no stream says went wrong: its error.message, shortened, or nothing.
[[nodiscard]] std::string error_message_of(std::string_view body);

}  // namespace quire::server
