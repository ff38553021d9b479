#include "server/gate.h"

#include <algorithm>

namespace quire::server {
namespace {

// What a page may send: our own, and what the official client adds when it runs in a browser.
constexpr std::string_view kAllowedFields =
    "authorization, content-type, x-request-id, x-request-timeout-ms, openai-organization, "
    "openai-project, openai-beta, x-stainless-arch, x-stainless-lang, x-stainless-os, "
    "x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, "
    "x-stainless-runtime-version, x-stainless-timeout, x-stainless-helper-method, "
    "x-stainless-poll-helper, x-stainless-custom-poll-interval";

HttpResponse refusal(int status, const Error& error) {
  return {.status = status, .body = proto::error_body(error)};
}

bool origin_allowed(const ServiceOptions& options, std::string_view origin) {
  return !origin.empty() &&
         std::find(options.allowed_origins.begin(), options.allowed_origins.end(), origin) !=
             options.allowed_origins.end();
}

// A browser asks before it sends; it sends no key with the question.
std::optional<HttpResponse> answer_preflight(const Service& service, const HttpRequest& request) {
  if (request.method != "OPTIONS" || !origin_allowed(service.options(), request.field("origin")) ||
      request.field("access-control-request-method").empty()) {
    return std::nullopt;
  }
  return HttpResponse{.status = 204,
                      .fields = {{"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
                                 {"Access-Control-Allow-Headers", std::string(kAllowedFields)},
                                 {"Access-Control-Max-Age", "600"}}};
}

std::optional<HttpResponse> refuse_by_route(const Match& match) {
  if (match.route != nullptr) return std::nullopt;
  if (match.allow.empty()) {
    return refusal(404, {ErrorCode::kNotFound, "There is no such route."});
  }
  HttpResponse response =
      refusal(405, {ErrorCode::kInvalidRequest, "The route does not have this method."});
  response.fields.emplace_back("Allow", match.allow);
  return response;
}

// Missing and wrong keys get one and the same answer; and after too many of them from one address
// another one, and the connection ends. A right key is served all the same: who shares an address
// with others, as behind a proxy, must not be locked out by them.
HttpResponse refuse_unknown_key(Service& service, const PeerAddress& peer) {
  const auto now = FailedKeys::Clock::now();
  if (service.failed_keys().note(peer, now)) {
    HttpResponse response = refusal(
        429, {ErrorCode::kOverloaded, "Too many requests without a valid API key; retry later."});
    response.fields.emplace_back("Retry-After",
                                 std::to_string(service.failed_keys().seconds_left(peer, now)));
    response.close = true;
    return response;
  }
  HttpResponse response =
      refusal(401, {ErrorCode::kUnauthenticated, "A valid API key is required."});
  response.fields.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

std::optional<HttpResponse> refuse_by_key(Service& service, HttpRequest& request,
                                          const Route& route) {
  if (route.access == Access::kOpen) return std::nullopt;
  const std::string_view key = Keys::bearer(request.field("authorization"));
  const KeyKind kind = service.keys().check(key);
  if (kind == KeyKind::kNone) return refuse_unknown_key(service, request.peer);
  request.key_name = service.keys().name_of(key);
  request.admin = kind == KeyKind::kAdmin;
  if (route.access == Access::kAdmin && kind != KeyKind::kAdmin) {
    return refusal(403, {ErrorCode::kForbidden, "This route needs an admin key."});
  }
  return std::nullopt;
}

// Those that only ask for something small are not counted.
std::optional<HttpResponse> refuse_by_places(Service& service, const HttpRequest& request,
                                             Match& match) {
  if (match.route->access == Access::kOpen || match.route->method != "POST") return std::nullopt;
  auto place = service.places().take(request.key_name);
  if (!place) {
    return service.error_response(
        {ErrorCode::kOverloaded,
         "This key has as many requests under way as it may; retry later."});
  }
  match.place = std::move(*place);
  return std::nullopt;
}

std::optional<HttpResponse> refuse_by_media_type(const HttpRequest& request, const Route& route) {
  if (route.method != "POST") return std::nullopt;
  std::string_view type = request.field("content-type");
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  if (equals_ignoring_case(type, "application/json")) return std::nullopt;
  return refusal(415, {ErrorCode::kInvalidRequest, "Content-Type must be application/json."});
}

}  // namespace

std::optional<HttpResponse> refuse_at_gate(Service& service, std::span<const Route> table,
                                           HttpRequest& request, Match& match) {
  if (auto preflight = answer_preflight(service, request)) return preflight;
  match = find_route(table, request.method, request.path);
  if (auto response = refuse_by_route(match)) return response;
  if (auto response = refuse_by_key(service, request, *match.route)) return response;
  if (match.route->access != Access::kOpen && service.phase() > Service::Phase::kServing) {
    return service.error_response({ErrorCode::kUnavailable, "The server is shutting down."});
  }
  if (auto response = refuse_by_media_type(request, *match.route)) return response;
  return refuse_by_places(service, request, match);
}

void add_cors_fields(const ServiceOptions& options, const HttpRequest& request,
                     ResponseWriter& writer) {
  if (options.allowed_origins.empty()) return;
  writer.add_field("Vary", "Origin");
  const std::string_view origin = request.field("origin");
  if (!origin_allowed(options, origin)) return;
  writer.add_field("Access-Control-Allow-Origin", std::string(origin));
  writer.add_field("Access-Control-Expose-Headers", "x-request-id, retry-after");
}

}  // namespace quire::server
