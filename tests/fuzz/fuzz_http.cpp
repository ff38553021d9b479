// The HTTP request parser on any bytes, whole and cut into pieces: what a request is must not
// depend on how it arrives.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "server/request_parser.h"

namespace {

using quire::server::HttpLimits;
using quire::server::RequestParser;
using State = RequestParser::State;

struct Outcome {
  State state = State::kMore;
  std::size_t consumed = 0;
  std::string body;
};

Outcome parse(std::string_view bytes, std::size_t piece) {
  const HttpLimits limits;
  RequestParser parser(limits, nullptr);
  Outcome outcome;
  std::string buffer;
  while (true) {
    const std::size_t used = parser.feed(buffer);
    if (used > buffer.size()) std::abort();
    buffer.erase(0, used);
    outcome.consumed += used;
    outcome.state = parser.state();
    if (outcome.state == State::kHeader) continue;
    if (outcome.state != State::kMore || bytes.empty()) break;
    if (buffer.size() > limits.max_header_bytes) std::abort();
    buffer += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  if (outcome.state == State::kError && parser.error_status() < 400) std::abort();
  if (outcome.state == State::kDone) outcome.body = parser.request().body.text;
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = parse(bytes, size + 1);
  const Outcome cut = parse(bytes, 1 + size % 61);
  if (whole.state == State::kDone || cut.state == State::kDone) {
    if (whole.state != cut.state || whole.body != cut.body || whole.consumed != cut.consumed) {
      std::abort();
    }
  }
  return 0;
}
