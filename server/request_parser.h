#pragma once
// RequestParser: the bytes of one HTTP/1 request to an HttpRequest, refusing every form that two
// parties could read differently.
//
// Beast's parser does the grammar; this class does what Beast 1.81 leaves open (RELIABILITY,
// section 0): exactly one Host, one Content-Length of digits only, Transfer-Encoding exactly
// `chunked` and only in HTTP/1.1, never both, no trailers, no folded or bare-LF lines, bounded
// header, fields, target, chunk extensions, chunks and body. Nothing it does throws on any input.
//
// One per request, one thread. Usage: feed() the received bytes again and again, dropping what it
// consumed; at state() == kHeader the request line and fields are known and nothing of the body was
// read; call feed() again to go on.
// 1. feed() consumes no byte beyond the request: the next one's bytes stay with the caller.
// 2. After kError and kDone feed() consumes nothing.
// 3. Bytes that it leaves unconsumed at kMore are at most max_header_bytes.

#include <cstddef>
#include <memory>
#include <string_view>

#include "server/http.h"

namespace quire::server {

class RequestParser final {
 public:
  enum class State { kMore, kHeader, kDone, kError };

  // `limits` and `budget` outlive it; budget may be null.
  RequestParser(const HttpLimits& limits, BodyBudget* budget);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // Returns how many bytes were consumed.
  std::size_t feed(std::string_view bytes);
  [[nodiscard]] State state() const;
  [[nodiscard]] bool header_done() const;
  // At kError: 400, 413, 415, 417 or 503, and one sentence.
  [[nodiscard]] int error_status() const;
  [[nodiscard]] std::string_view error_message() const;
  // Complete at kDone; line and fields from kHeader on.
  [[nodiscard]] HttpRequest& request();

 private:
  class Grammar;
  std::unique_ptr<Grammar> grammar_;
};

}  // namespace quire::server
