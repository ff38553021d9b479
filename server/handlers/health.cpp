// /health: requests can be served now. /livez: the process answers. /version.

#include "server/handlers/handlers.h"

namespace quire::server {

std::unique_ptr<Job> handle_health(Exchange exchange) {
  if (exchange.service.healthy()) {
    exchange.writer.respond({.status = 200, .body = "{\"status\":\"ok\"}"});
    return nullptr;
  }
  std::string_view why = "The engine does not answer.";
  switch (exchange.service.phase()) {
    case Service::Phase::kLoading:
      why = "The model is still being loaded.";
      break;
    case Service::Phase::kDraining:
      why = "The server is shutting down.";
      break;
    case Service::Phase::kFailed:
      why = "The engine has failed.";
      break;
    case Service::Phase::kServing:
      break;
  }
  exchange.writer.respond(
      exchange.service.error_response({ErrorCode::kUnavailable, std::string(why)}));
  return nullptr;
}

std::unique_ptr<Job> handle_livez(Exchange exchange) {
  exchange.writer.respond({.status = 200, .body = "{\"status\":\"alive\"}"});
  return nullptr;
}

std::unique_ptr<Job> handle_version(Exchange exchange) {
  exchange.writer.respond({.status = 200, .body = proto::version_body()});
  return nullptr;
}

}  // namespace quire::server
