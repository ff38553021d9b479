// /v1/models and /v1/models/{id}: the one model that is served.

#include "server/handlers/handlers.h"

namespace quire::server {
namespace {

proto::ModelCard card(const Service& service, const engine::Engine& engine) {
  return {.id = service.options().model_name,
          .created = service.created(),
          .max_model_len = engine.info().max_model_len};
}

}  // namespace

std::unique_ptr<Job> handle_models(Exchange exchange) {
  const engine::Engine* engine = exchange.service.engine();
  if (engine == nullptr) {
    exchange.writer.respond(exchange.service.error_response(loading_error()));
    return nullptr;
  }
  const proto::ModelCard model = card(exchange.service, *engine);
  exchange.writer.respond({.status = 200, .body = proto::models_body({&model, 1})});
  return nullptr;
}

std::unique_ptr<Job> handle_model(Exchange exchange) {
  const engine::Engine* engine = exchange.service.engine();
  if (engine == nullptr) {
    exchange.writer.respond(exchange.service.error_response(loading_error()));
  } else if (auto error = check_model(exchange.service, exchange.request.path_arg)) {
    exchange.writer.respond(exchange.service.error_response(*error));
  } else {
    exchange.writer.respond(
        {.status = 200, .body = proto::model_body(card(exchange.service, *engine))});
  }
  return nullptr;
}

}  // namespace quire::server
