#pragma once
// The figures of a run as JSON, with the field names of `vllm bench serve --save-result`, so that
// what reads those files reads ours. Times of single requests are in seconds there, and here.

#include <span>
#include <string>

#include "server/commands/bench_report.h"
#include "server/commands/bench_sweep.h"

namespace quire::server {

// `requests`: each is written too; none for the summary alone. `sweep`: none where there was none.
[[nodiscard]] std::string report_json(const BenchReport& report,
                                      std::span<const BenchResult> requests,
                                      std::span<const SweepPoint> sweep);

}  // namespace quire::server
