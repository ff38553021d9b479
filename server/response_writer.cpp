#include "server/response_writer.h"

#include <charconv>
#include <ctime>

#include "proto/check.h"
#include "proto/sse.h"

namespace quire::server {
namespace {

void append_hex(std::string& out, std::size_t value) {
  char digits[16];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), value, 16);
  out.append(digits, end.ptr);
}

}  // namespace

std::string_view http_date() {
  thread_local std::time_t cached_at = -1;
  thread_local char text[40];
  thread_local std::size_t size = 0;
  const std::time_t now = std::time(nullptr);
  if (now != cached_at) {
    std::tm utc{};
    gmtime_r(&now, &utc);
    size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    cached_at = now;
  }
  return {text, size};
}

ResponseWriter::ResponseWriter(const HttpRequest& request, bool keep_alive)
    : version_(request.version), keep_alive_(keep_alive), head_only_(request.method == "HEAD") {}

void ResponseWriter::add_field(std::string name, std::string value) {
  fields_.emplace_back(std::move(name), std::move(value));
}

void ResponseWriter::begin(int status, std::string_view content_type) {
  CHECK(!started());
  status_ = status;
  head_.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
  head_.append(reason_phrase(status)).append("\r\nServer: quire\r\nDate: ").append(http_date());
  if (!content_type.empty()) head_.append("\r\nContent-Type: ").append(content_type);
  for (const auto& [name, value] : fields_) {
    head_.append("\r\n").append(name).append(": ").append(value);
  }
  head_.append("\r\n");
}

void ResponseWriter::respond(const HttpResponse& response) {
  keep_alive_ = keep_alive_ && !response.close;
  begin(response.status, response.status == 204 ? "" : response.content_type);
  for (const auto& [name, value] : response.fields) {
    head_.append(name).append(": ").append(value).append("\r\n");
  }
  if (response.status != 204) {
    head_.append("Content-Length: ").append(std::to_string(response.body.size())).append("\r\n");
  }
  if (!keep_alive_) head_.append("Connection: close\r\n");
  if (keep_alive_ && version_ == 10) head_.append("Connection: keep-alive\r\n");
  head_.append("\r\n");
  if (!head_only_) head_.append(response.body);
  ended_ = true;
}

void ResponseWriter::begin_pieces(std::string_view content_type, std::string_view more_fields) {
  // HTTP/1.0 has no chunks: there the end of the connection ends the body.
  keep_alive_ = keep_alive_ && version_ == 11;
  begin(200, content_type);
  head_.append(more_fields);
  if (version_ == 11) head_.append("Transfer-Encoding: chunked\r\n");
  if (!keep_alive_) head_.append("Connection: close\r\n");
  head_.append("\r\n");
  in_pieces_ = true;
  ended_ = head_only_;
}

void ResponseWriter::start_body() { begin_pieces("application/json", ""); }

void ResponseWriter::append_body(std::string_view piece) {
  CHECK(in_pieces_ && !streaming_ && !ended_);
  pieces_.append(piece);
}

void ResponseWriter::end_body() {
  CHECK(in_pieces_ && !streaming_ && !ended_);
  ended_ = true;
}

void ResponseWriter::start_stream() {
  begin_pieces("text/event-stream", "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n");
  streaming_ = true;
}

void ResponseWriter::event(std::string_view json_line) {
  CHECK(streaming());
  proto::append_sse(pieces_, json_line);
}

void ResponseWriter::ping() {
  CHECK(streaming());
  pieces_.append(proto::kSsePing);
}

void ResponseWriter::end_stream() {
  CHECK(streaming());
  pieces_.append(proto::kSseDone);
  ended_ = true;
}

void ResponseWriter::take(std::string& out) {
  out.append(head_);
  head_.clear();
  if (!pieces_.empty()) {
    if (version_ == 11) {
      append_hex(out, pieces_.size());
      out.append("\r\n").append(pieces_).append("\r\n");
    } else {
      out.append(pieces_);
    }
    pieces_.clear();
  }
  if (in_pieces_ && ended_ && !took_end_ && version_ == 11 && !head_only_) out.append("0\r\n\r\n");
  took_end_ = took_end_ || ended_;
}

}  // namespace quire::server
