// /v1/requests/{id}: what happened to a request that has ended, for the key that made it.

#include "server/handlers/handlers.h"
#include "server/request_record.h"

namespace quire::server {

std::unique_ptr<Job> handle_request(Exchange exchange) {
  const auto record =
      exchange.service.recent().find(exchange.request.path_arg, exchange.request.key_name);
  if (record) {
    exchange.writer.respond({.status = 200, .body = request_body(*record)});
  } else {
    // Another key's is no different from none.
    exchange.writer.respond(exchange.service.error_response(
        {ErrorCode::kNotFound, "No request of this id ended lately.", "id"}));
  }
  return nullptr;
}

}  // namespace quire::server
