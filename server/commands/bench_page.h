#pragma once
// The figures of a run as one page of HTML that needs nothing else: no script, no font, no network.
// Pure; whatever a server said is escaped.

#include <span>
#include <string>

#include "server/commands/bench_report.h"
#include "server/commands/bench_sweep.h"

namespace quire::server {

// `sweep`: none where there was none; then `report` and `requests` are of the last run.
[[nodiscard]] std::string report_page(const BenchReport& report,
                                      std::span<const BenchResult> requests,
                                      std::span<const SweepPoint> sweep);

}  // namespace quire::server
