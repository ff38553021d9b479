#pragma once
// The HTTP/1.1 client of the load generator, on Asio and Beast.
//
// exchange() asks once and waits. run_load() sends all calls and waits for all answers, on one
// thread with kept connections. Closed loop: `concurrency` in flight, a new one for each that
// ended. Open loop: each at its own time, however many are under way; its latencies count from when
// it was due, so that a client that is late hides nothing.
// 1. No fault of a server ends the run: each request has a result, in the order of the calls.
// Cost: 2 coroutines and about 20 KiB per connection.

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"
#include "server/commands/bench_options.h"
#include "server/commands/bench_stream.h"
#include "server/commands/bench_workload.h"

namespace quire::server {

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};
// An empty body asks with GET, any other with POST. An Error where there was no answer.
[[nodiscard]] Result<HttpAnswer> exchange(const BenchOptions& options, std::string_view path,
                                          std::string_view body);

struct LoadProgress {
  double seconds = 0;
  std::size_t done = 0;
  std::size_t failed = 0;
  std::size_t waiting = 0;  // in flight, without a text yet
  std::size_t running = 0;  // in flight, with one
  std::size_t texts = 0;    // that have arrived; of most servers each is one token
  double recent_ttft = 0;   // seconds; median of the last that ended
};
struct LoadResult {
  double seconds = 0;
  std::vector<BenchResult> requests;
};
// `report` is called every 200 ms.
[[nodiscard]] LoadResult run_load(const BenchOptions& options, std::span<const Call> calls,
                                  const std::function<void(const LoadProgress&)>& report);

}  // namespace quire::server
