#include "server/router.h"

#include <array>

#include "server/handlers/handlers.h"

namespace quire::server {
namespace {

constexpr std::string_view kArgument = "{id}";

constexpr std::array kRoutes = {
    Route{"GET", "/health", Access::kOpen, handle_health},
    Route{"GET", "/livez", Access::kOpen, handle_livez},
    Route{"GET", "/version", Access::kKey, handle_version},
    Route{"GET", "/openapi.json", Access::kKey, handle_openapi},
    Route{"GET", "/v1/models", Access::kKey, handle_models},
    Route{"GET", "/v1/models/{id}", Access::kKey, handle_model},
    Route{"POST", "/v1/completions", Access::kKey, handle_completions},
    Route{"POST", "/v1/chat/completions", Access::kKey, handle_chat},
    Route{"GET", "/metrics", Access::kAdmin, handle_metrics},
    Route{"GET", "/pages", Access::kAdmin, handle_pages},
    Route{"GET", "/v1/requests/{id}", Access::kKey, handle_request},
    Route{"POST", "/tokenize", Access::kKey, handle_tokenize},
    Route{"POST", "/detokenize", Access::kKey, handle_detokenize},
    Route{"GET", "/", Access::kOpen, handle_ui},
    Route{"GET", "/ui/{id}", Access::kOpen, handle_ui_file},
};

constexpr std::array kMetricsRoutes = {
    Route{"GET", "/metrics", Access::kOpen, handle_metrics},
    Route{"GET", "/health", Access::kOpen, handle_health},
    Route{"GET", "/livez", Access::kOpen, handle_livez},
};

bool path_matches(const Route& route, std::string_view path, std::string& argument) {
  if (!route.path.ends_with(kArgument)) return route.path == path;
  const std::string_view prefix = route.path.substr(0, route.path.size() - kArgument.size());
  if (!path.starts_with(prefix) || path.size() == prefix.size()) return false;
  return percent_decode(path.substr(prefix.size()), argument);
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }
std::span<const Route> metrics_routes() { return kMetricsRoutes; }

Match find_route(std::span<const Route> table, std::string_view method, std::string_view path) {
  Match match;
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const Route& route : table) {
    std::string argument;
    if (!path_matches(route, path, argument)) continue;
    if (route.method == wanted) {
      match.route = &route;
      match.path_arg = std::move(argument);
      return match;
    }
    if (!match.allow.empty()) match.allow += ", ";
    match.allow += route.method;
    if (route.method == "GET") match.allow += ", HEAD";
  }
  return match;
}

}  // namespace quire::server
