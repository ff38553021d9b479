// The web page: / and /ui/{id}. Open to all: it has no data of its own, what it asks for needs a
// key.

#include <algorithm>

#include "server/handlers/handlers.h"
#include "server/ui_files.h"

namespace quire::server {
namespace {

// Nothing from elsewhere, nothing inline, in nobody's frame.
const HttpFields kFields = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-cache"}};

void respond(Exchange& exchange, std::string_view name) {
  const auto file = std::ranges::find(ui_files(), name, &UiFile::name);
  if (file == ui_files().end()) {
    exchange.writer.respond(exchange.service.error_response(
        {ErrorCode::kNotFound, "The web page has no such file.", "id"}));
    return;
  }
  exchange.writer.respond({.status = 200,
                           .body = std::string(file->text),
                           .content_type = std::string(file->content_type),
                           .fields = kFields});
}

}  // namespace

std::unique_ptr<Job> handle_ui(Exchange exchange) {
  respond(exchange, "index.html");
  return nullptr;
}

std::unique_ptr<Job> handle_ui_file(Exchange exchange) {
  respond(exchange, exchange.request.path_arg);
  return nullptr;
}

}  // namespace quire::server
