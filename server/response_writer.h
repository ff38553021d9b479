#pragma once
// ResponseWriter: one answer to HTTP/1 bytes, either whole (respond), as a body in pieces or as a
// stream of events.
//
// One per request, on its I/O thread. It only collects; the session takes the bytes and sends them.
// 1. Exactly one of respond(), start_body() and start_stream() is called, once.
// 2. After respond(), end_body() or end_stream() nothing more is written (checked).
// Cost: appends to one string; pieces and events collected between two take()s share one HTTP
// chunk.

#include <string>
#include <string_view>

#include "server/http.h"

namespace quire::server {

class ResponseWriter final {
 public:
  ResponseWriter() = default;
  // Of the request being answered; keep_alive false closes after the answer.
  ResponseWriter(const HttpRequest& request, bool keep_alive);

  // On every answer beside Date and Server.
  void add_field(std::string name, std::string value);

  void respond(const HttpResponse& response);
  // 200 with JSON of a length that is not known yet. append_body() follows, again and again.
  void start_body();
  void append_body(std::string_view piece);
  void end_body();
  // 200 with Content-Type: text/event-stream. To HEAD this is all: the answer has ended.
  void start_stream();
  // One event: a line of JSON.
  void event(std::string_view json_line);
  // A comment line that keeps proxies and clients waiting.
  void ping();
  // `data: [DONE]` and the end of the body.
  void end_stream();

  [[nodiscard]] bool started() const { return status_ != 0; }
  [[nodiscard]] bool streaming() const { return streaming_ && !ended_; }
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] bool keep_alive() const { return keep_alive_; }
  // Bytes collected and not yet taken.
  [[nodiscard]] std::size_t size() const { return head_.size() + pieces_.size(); }
  [[nodiscard]] bool has_output() const { return size() > 0 || (ended_ && !took_end_); }
  // Moves what is collected to the end of `out`.
  void take(std::string& out);

 private:
  void begin(int status, std::string_view content_type);
  void begin_pieces(std::string_view content_type, std::string_view more_fields);

  std::string head_;    // header, and the body of a whole answer
  std::string pieces_;  // of a stream or a body in pieces, since the last take()
  HttpFields fields_;
  int version_ = 11;
  int status_ = 0;
  bool keep_alive_ = false;
  bool head_only_ = false;
  bool in_pieces_ = false;
  bool streaming_ = false;  // in pieces, which are events
  bool ended_ = false;
  bool took_end_ = false;
};

// The value of a Date field now.
[[nodiscard]] std::string_view http_date();

}  // namespace quire::server
