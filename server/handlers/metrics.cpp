// /metrics: what Prometheus scrapes.

#include "server/metrics.h"

#include "server/handlers/handlers.h"

namespace quire::server {

std::unique_ptr<Job> handle_metrics(Exchange exchange) {
  exchange.writer.respond(
      {.status = 200,
       .body = metrics_text(exchange.service.options().model_name, exchange.service.engine()),
       .content_type = std::string(kMetricsContentType)});
  return nullptr;
}

}  // namespace quire::server
