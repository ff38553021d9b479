// /openapi.json: the HTTP surface as one document.

#include "proto/openapi.h"

#include "server/handlers/handlers.h"

namespace quire::server {

std::unique_ptr<Job> handle_openapi(Exchange exchange) {
  exchange.writer.respond({.status = 200, .body = std::string(proto::openapi_document())});
  return nullptr;
}

}  // namespace quire::server
