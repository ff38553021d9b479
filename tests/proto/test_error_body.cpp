#include "proto/openai.h"
#include "proto/utf8.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <nlohmann/json.hpp>
#include <string>

namespace quire::proto {
namespace {

using nlohmann::json;

struct Expected {
  ErrorCode code;
  int status;
  std::string type;
  json wire_code;
};

const Expected kTable[] = {
    {ErrorCode::kInvalidRequest, 400, "invalid_request_error", nullptr},
    {ErrorCode::kUnsupported, 400, "invalid_request_error", "unsupported_parameter"},
    {ErrorCode::kUnauthenticated, 401, "authentication_error", "invalid_api_key"},
    {ErrorCode::kForbidden, 403, "permission_error", "insufficient_permissions"},
    {ErrorCode::kNotFound, 404, "not_found_error", "not_found"},
    {ErrorCode::kTooLarge, 413, "invalid_request_error", "request_too_large"},
    {ErrorCode::kOverloaded, 429, "rate_limit_error", "overloaded"},
    {ErrorCode::kUnavailable, 503, "server_error", "unavailable"},
    {ErrorCode::kInternal, 500, "server_error", "internal_error"},
};

}  // namespace

TEST_CASE("each kind of error has its status, type and code") {
  for (const Expected& row : kTable) {
    CHECK(http_status(row.code) == row.status);
    const json body = json::parse(error_body({row.code, "Said.", "field"}));
    CHECK(body.size() == 1);
    CHECK(body["error"].size() == 4);
    CHECK(body["error"]["message"] == "Said.");
    CHECK(body["error"]["type"] == row.type);
    CHECK(body["error"]["param"] == "field");
    CHECK(body["error"]["code"] == row.wire_code);
  }
  CHECK(error_body({ErrorCode::kInvalidRequest, "Said."}) ==
        R"({"error":{"message":"Said.","type":"invalid_request_error","param":null,"code":null}})");
  CHECK(json::parse(error_body({ErrorCode::kNotFound, "x", "model"}))["error"]["code"] ==
        "model_not_found");
}

TEST_CASE("an error fits its limit whatever is in it") {
  for (const std::string unit :
       {"a", "\"", "\x01", "\n", "\u20ac", "\U0001F600", "\xff", "\u2028"}) {
    std::string text;
    for (int i = 0; i < 2000; ++i) text += unit;
    for (const Expected& row : kTable) {
      const std::string body = error_body({row.code, text, text});
      INFO(unit);
      CHECK(body.size() <= kMaxErrorBody);
      CHECK(body.size() > 600);
      CHECK(is_utf8(body));
      CHECK(json::parse(body)["error"].size() == 4);
    }
  }
}

}  // namespace quire::proto
