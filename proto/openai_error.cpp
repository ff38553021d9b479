// Errors on the wire: the one table from error kinds to HTTP, and the body.

#include "proto/json_writer.h"
#include "proto/openai.h"

namespace quire::proto {
namespace {

struct WireError {
  int status;
  std::string_view type;
  std::string_view code;  // empty: null
};

WireError wire_error(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidRequest:
      return {400, "invalid_request_error", ""};
    case ErrorCode::kUnsupported:
      return {400, "invalid_request_error", "unsupported_parameter"};
    case ErrorCode::kUnauthenticated:
      return {401, "authentication_error", "invalid_api_key"};
    case ErrorCode::kForbidden:
      return {403, "permission_error", "insufficient_permissions"};
    case ErrorCode::kNotFound:
      return {404, "not_found_error", "not_found"};
    case ErrorCode::kTooLarge:
      return {413, "invalid_request_error", "request_too_large"};
    case ErrorCode::kOverloaded:
      return {429, "rate_limit_error", "overloaded"};
    case ErrorCode::kUnavailable:
      return {503, "server_error", "unavailable"};
    case ErrorCode::kInternal:
      return {500, "server_error", "internal_error"};
  }
  return {500, "server_error", "internal_error"};
}

// Bytes with escapes. With the longest type and code the rest of the body is below 130 bytes.
constexpr std::size_t kMaxMessage = 640;
constexpr std::size_t kMaxParam = 192;
static_assert(kMaxMessage + kMaxParam + 130 <= kMaxErrorBody);

void text_or_null(JsonWriter& out, std::string_view value) {
  if (value.empty()) {
    out.null();
  } else {
    out.text_up_to(value, kMaxParam);
  }
}

}  // namespace

int http_status(ErrorCode code) { return wire_error(code).status; }

std::string error_body(const Error& error) {
  const WireError wire = wire_error(error.code);
  const bool missing_model = error.code == ErrorCode::kNotFound && error.param == "model";
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("error").begin_object();
  out.key("message").text_up_to(error.message, kMaxMessage);
  out.key("type").text(wire.type);
  out.key("param");
  text_or_null(out, error.param);
  out.key("code");
  text_or_null(out, missing_model ? "model_not_found" : wire.code);
  out.end_object().end_object();
  return body;
}

}  // namespace quire::proto
