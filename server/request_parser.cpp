#include "server/request_parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <cctype>
#include <optional>
#include <string>

namespace quire::server {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using beast::error_code;

// Longest line of a chunk's size that is waited for: 16 digits, an extension and its end.
constexpr std::size_t kChunkLineSlack = 32;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

// Field values: visible ASCII, space, tab and bytes above 127 (RFC 9110, section 5.5).
bool is_field_value(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

bool is_target(std::string_view target) {
  return std::all_of(target.begin(), target.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

bool is_digits(std::string_view value) {
  return !value.empty() && value.size() <= 18 &&
         std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

class RequestParser::Grammar final : public http::basic_parser<true> {
 public:
  Grammar(const HttpLimits& limits, BodyBudget* budget) : limits_(limits) {
    header_limit(static_cast<std::uint32_t>(limits.max_header_bytes + 4));
    body_limit(limits.max_body_bytes);
    request_.body.charge = BodyCharge(budget);
  }

  std::size_t feed(std::string_view bytes) {
    if (state_ == State::kDone || state_ == State::kError) return 0;
    if (!is_header_done()) return feed_header(bytes);
    return feed_body(bytes);
  }

  State state_ = State::kMore;
  int status_ = 0;
  std::string_view message_;
  HttpRequest request_;

 private:
  // Waits for the whole header and checks its lines before the grammar sees it.
  std::size_t feed_header(std::string_view bytes) {
    // Clients of old end a body with a line end that is no part of it (RFC 9112, section 2.2).
    if (!empty_line_skipped_ && bytes.starts_with("\r\n")) {
      empty_line_skipped_ = true;
      scanned_ = 0;
      return 2 + feed_header(bytes.substr(2));
    }
    const std::optional<std::size_t> end = find_header_end(bytes);
    if (state_ == State::kError) return 0;
    if (!end) {
      if (bytes.size() >= limits_.max_header_bytes) refuse(400, "The header is too large.");
      return 0;
    }
    if (*end > limits_.max_header_bytes) {
      refuse(400, "The header is too large.");
      return 0;
    }
    error_code ec;
    const std::size_t used = put({bytes.data(), *end}, ec);
    if (ec) refuse_by(ec);
    if (state_ == State::kMore && !is_header_done()) refuse(400, "The header is malformed.");
    if (state_ == State::kError) return 0;
    state_ = State::kHeader;
    return used;
  }

  // The offset behind the empty line; refuses line ends other than CRLF and folded lines at once.
  std::optional<std::size_t> find_header_end(std::string_view bytes) {
    for (; scanned_ < bytes.size(); ++scanned_) {
      const char c = bytes[scanned_];
      const char before = scanned_ == 0 ? '\0' : bytes[scanned_ - 1];
      const bool line_begins = scanned_ >= 2 && before == '\n';
      if ((c == '\n') != (before == '\r') || c == '\0' ||
          (line_begins && (c == ' ' || c == '\t'))) {
        refuse(400, "The header has a malformed line.");
        return std::nullopt;
      }
      if (c == '\n' && scanned_ >= 3 && bytes[scanned_ - 2] == '\n') return scanned_ + 1;
    }
    return std::nullopt;
  }

  std::size_t feed_body(std::string_view bytes) {
    std::size_t used = 0;
    if (is_done()) state_ = State::kDone;
    while (state_ != State::kError && state_ != State::kDone && used < bytes.size()) {
      if (at_chunk_line() && !chunk_line_ready(bytes.substr(used))) break;
      error_code ec;
      const std::size_t n = put({bytes.data() + used, bytes.size() - used}, ec);
      used += n;
      if (ec == http::error::need_more) break;
      if (ec) refuse_by(ec);
      if (is_done() && state_ != State::kError) state_ = State::kDone;
    }
    if (state_ == State::kHeader) state_ = State::kMore;
    // Only a chunk's size line or the end of the body is ever waited for.
    if (state_ == State::kMore &&
        bytes.size() - used > limits_.max_chunk_ext_bytes + kChunkLineSlack) {
      refuse(400, "A chunk's line is too long.");
    }
    return used;
  }

  [[nodiscard]] bool at_chunk_line() const {
    return num_transfer_encodings_ > 0 && chunk_left_ == 0 && !is_done();
  }

  // Whether a chunk's whole size line is there, and behind the last one the end of the body. So the
  // grammar never sees half of one (its own waiting asserts what a peer can break), and a trailer
  // is refused by its first byte.
  bool chunk_line_ready(std::string_view rest) {
    const std::size_t begin = num_chunks_ == 0 ? 0 : 2;  // behind the data of the chunk before
    const std::size_t newline = rest.find('\n', begin);
    if (newline == std::string_view::npos) return false;
    if (newline == begin || rest[newline - 1] != '\r') {
      refuse(400, "A chunk's line is malformed.");
      return false;
    }
    const std::size_t digit = std::min(rest.find_first_not_of('0', begin), newline);
    if (digit == begin || std::isxdigit(static_cast<unsigned char>(rest[digit])) != 0) return true;
    const std::string_view end = rest.substr(newline + 1, 2);
    if (!std::string_view("\r\n").starts_with(end)) refuse(400, "Trailer fields are not accepted.");
    return end == "\r\n";
  }

  void refuse(int status, std::string_view message) {
    if (state_ == State::kError) return;
    state_ = State::kError;
    status_ = status;
    message_ = message;
  }
  void refuse(int status, std::string_view message, error_code& ec) {
    refuse(status, message);
    ec = http::error::bad_value;
  }
  void refuse_by(error_code ec) {
    if (ec == http::error::body_limit) {
      refuse(413, "The body is larger than this server accepts.");
    } else if (ec == http::error::header_limit) {
      refuse(400, "The header is too large.");
    } else {
      refuse(400, "The request is not well-formed HTTP/1.1.");
    }
  }

  void on_request_impl(http::verb, beast::string_view method, beast::string_view target,
                       int version, error_code& ec) override {
    if (target.size() > limits_.max_target_bytes) {
      return refuse(400, "The request target is too long.", ec);
    }
    std::string_view text = view(target);
    if (is_target(text)) text = take_authority(text);
    if (!is_target(text) || (text.front() != '/' && text != "*")) {
      return refuse(400, "The request target is not a path.", ec);
    }
    request_.method = view(method);
    const std::size_t question = text.find('?');
    request_.path = text.substr(0, question);
    if (question != std::string_view::npos) request_.query = text.substr(question + 1);
    request_.version = version;
  }
  // What clients of a proxy send, http://host/path (RFC 9112, section 3.2.2): to the path. The host
  // must be that of the Host field, or two parties could take the request for two servers'.
  std::string_view take_authority(std::string_view target) {
    const std::size_t scheme = target.find("://");
    if (scheme == std::string_view::npos) return target;
    const std::string_view name = target.substr(0, scheme);
    if (!equals_ignoring_case(name, "http") && !equals_ignoring_case(name, "https")) return target;
    const std::string_view rest = target.substr(scheme + 3);
    const std::size_t slash = rest.find('/');
    if (slash == std::string_view::npos || slash == 0) return target;
    authority_ = rest.substr(0, slash);
    return rest.substr(slash);
  }
  void on_response_impl(int, beast::string_view, int, error_code&) override {}

  void on_field_impl(http::field field, beast::string_view name, beast::string_view value,
                     error_code& ec) override {
    if (in_trailer_) return refuse(400, "Trailer fields are not accepted.", ec);
    if (request_.fields.size() >= limits_.max_fields) {
      return refuse(400, "The header has too many fields.", ec);
    }
    const std::string_view text = view(value);
    if (!is_field_value(text)) return refuse(400, "A field value has a control character.", ec);
    check_framing_field(field, text, ec);
    if (ec) return;
    request_.fields.emplace_back(to_lower(view(name)), text);
  }

  void check_framing_field(http::field field, std::string_view value, error_code& ec) {
    switch (field) {
      case http::field::host:
        if (++num_hosts_ > 1) refuse(400, "The Host field occurs twice.", ec);
        if (value.find_first_of(" \t,/@") != std::string_view::npos) {
          refuse(400, "The Host field is malformed.", ec);
        }
        return;
      case http::field::content_length:
        if (++num_content_lengths_ > 1 || !is_digits(value)) {
          refuse(400, "Content-Length must be one number.", ec);
        }
        return;
      case http::field::transfer_encoding:
        if (++num_transfer_encodings_ > 1 || request_.version != 11 ||
            !equals_ignoring_case(value, "chunked")) {
          refuse(400, "Transfer-Encoding must be chunked, in HTTP/1.1.", ec);
        }
        return;
      case http::field::content_encoding:
        if (!equals_ignoring_case(value, "identity")) {
          refuse(415, "Content-Encoding must be identity.", ec);
        }
        return;
      case http::field::expect:
        if (!equals_ignoring_case(value, "100-continue")) {
          return refuse(417, "Only Expect: 100-continue is understood.", ec);
        }
        request_.expects_continue = request_.version == 11;
        return;
      default:
        return;
    }
  }

  void on_header_impl(error_code& ec) override {
    if (num_hosts_ != 1) return refuse(400, "Exactly one Host field is required.", ec);
    if (num_content_lengths_ > 0 && num_transfer_encodings_ > 0) {
      return refuse(400, "Content-Length and Transfer-Encoding exclude each other.", ec);
    }
    if (!authority_.empty() && !equals_ignoring_case(authority_, request_.field("host"))) {
      return refuse(400, "The request target names another host than the Host field.", ec);
    }
    request_.keep_alive = keep_alive();
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(beast::string_view body, error_code& ec) override {
    append(view(body), ec);
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t size, beast::string_view extensions,
                            error_code& ec) override {
    chunk_ext_bytes_ += extensions.size();
    if (chunk_ext_bytes_ > limits_.max_chunk_ext_bytes) {
      return refuse(400, "The chunk extensions are too long.", ec);
    }
    if (++num_chunks_ > limits_.max_chunks) {
      return refuse(413, "The body has too many chunks.", ec);
    }
    in_trailer_ = size == 0;
    chunk_left_ = size;
  }
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, error_code& ec) override {
    chunk_left_ -= body.size();
    append(view(body), ec);
    return body.size();
  }
  void on_finish_impl(error_code&) override {}

  void append(std::string_view bytes, error_code& ec) {
    if (request_.body.text.size() + bytes.size() > limits_.max_body_bytes) {
      return refuse(413, "The body is larger than this server accepts.", ec);
    }
    if (!request_.body.charge.grow(static_cast<std::int64_t>(bytes.size()))) {
      return refuse(503, "The server holds too many request bodies; retry later.", ec);
    }
    request_.body.text.append(bytes);
  }

  const HttpLimits& limits_;
  std::string authority_;  // of a target that was a whole URL
  bool empty_line_skipped_ = false;
  std::size_t scanned_ = 0;
  std::size_t num_hosts_ = 0;
  std::size_t num_content_lengths_ = 0;
  std::size_t num_transfer_encodings_ = 0;
  std::size_t num_chunks_ = 0;
  std::uint64_t chunk_left_ = 0;  // bytes of the chunk at hand
  std::size_t chunk_ext_bytes_ = 0;
  bool in_trailer_ = false;
};

RequestParser::RequestParser(const HttpLimits& limits, BodyBudget* budget)
    : grammar_(std::make_unique<Grammar>(limits, budget)) {}
RequestParser::~RequestParser() = default;

std::size_t RequestParser::feed(std::string_view bytes) { return grammar_->feed(bytes); }
RequestParser::State RequestParser::state() const { return grammar_->state_; }
bool RequestParser::header_done() const {
  return grammar_->is_header_done() && grammar_->state_ != State::kError;
}
int RequestParser::error_status() const { return grammar_->status_; }
std::string_view RequestParser::error_message() const { return grammar_->message_; }
HttpRequest& RequestParser::request() { return grammar_->request_; }

}  // namespace quire::server
