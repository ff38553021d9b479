#pragma once
// The handlers, one per route of router.cpp. Each answers through exchange.writer or returns the
// Job that will. On the connection's I/O thread; the body was read and is valid HTTP.

#include <memory>
#include <string>

#include "server/router.h"

namespace quire::server {

// health.cpp
std::unique_ptr<Job> handle_health(Exchange exchange);
std::unique_ptr<Job> handle_livez(Exchange exchange);
std::unique_ptr<Job> handle_version(Exchange exchange);
// openapi.cpp
std::unique_ptr<Job> handle_openapi(Exchange exchange);
// metrics.cpp
std::unique_ptr<Job> handle_metrics(Exchange exchange);
// pages.cpp
std::unique_ptr<Job> handle_pages(Exchange exchange);
// models.cpp
std::unique_ptr<Job> handle_models(Exchange exchange);
std::unique_ptr<Job> handle_model(Exchange exchange);
// completions.cpp
std::unique_ptr<Job> handle_completions(Exchange exchange);
std::unique_ptr<Job> handle_chat(Exchange exchange);
// ui.cpp
std::unique_ptr<Job> handle_ui(Exchange exchange);
std::unique_ptr<Job> handle_ui_file(Exchange exchange);
// requests.cpp
std::unique_ptr<Job> handle_request(Exchange exchange);
// tokenize.cpp
std::unique_ptr<Job> handle_tokenize(Exchange exchange);
std::unique_ptr<Job> handle_detokenize(Exchange exchange);

// Whose turn a request takes on the work pool: its key's, or its address's where no keys are
// configured; long bodies apart from short ones, so that nobody's short one waits behind his long.
[[nodiscard]] inline std::string work_lane(const Service& service, const HttpRequest& request) {
  const auto& address = request.peer.bytes;
  std::string lane =
      request.key_name.empty() ? std::string(address.begin(), address.end()) : request.key_name;
  lane += request.body.text.size() <= service.options().inline_body_bytes ? "<" : ">";
  return lane;
}
// The answer while the engine is not there.
[[nodiscard]] inline Error loading_error() {
  return {ErrorCode::kUnavailable, "The model is still being loaded."};
}
// A request may name the served model or none.
[[nodiscard]] inline std::optional<Error> check_model(const Service& service,
                                                      const std::optional<std::string>& model) {
  if (!model || *model == service.options().model_name) return std::nullopt;
  return Error{ErrorCode::kNotFound, "This model is not served here; see /v1/models.", "model"};
}

}  // namespace quire::server
