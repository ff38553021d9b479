#pragma once
// Metrics: the daemon's state as Prometheus reads it. What others measure too has vLLM's name, so
// that dashboards and gateways made for it work; what only this server has begins with quire_.
//
// Computed from live state at each scrape: no gauge can be left behind. Any thread.
// 1. accepted = finished + failed + aborted + in flight, up to what changes while it is read.
// 2. No label holds a word of a client.

#include <string>
#include <string_view>

#include "engine/engine.h"

namespace quire::server {

// In Prometheus' text format. Without an engine (still loading): what the process alone knows.
[[nodiscard]] std::string metrics_text(std::string_view model_name, const engine::Engine* engine);

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace quire::server
