#pragma once
// The gate: what is decided from a request's line and fields alone, before its body is read: life
// cycle, route, key, media type, cross-origin rules.
//
// Pure functions over the service's state; any thread.

#include <optional>
#include <span>

#include "server/http.h"
#include "server/router.h"

namespace quire::server {

// Finds the route among `table` and notes whose key came; an answer means that the request goes no
// further.
[[nodiscard]] std::optional<HttpResponse> refuse_at_gate(Service& service,
                                                         std::span<const Route> table,
                                                         HttpRequest& request, Match& match);

// Access-Control-Allow-Origin for origins that are named in the options; nothing else.
void add_cors_fields(const ServiceOptions& options, const HttpRequest& request,
                     ResponseWriter& writer);

}  // namespace quire::server
