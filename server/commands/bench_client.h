#pragma once
// The HTTP/1.1 client of the load generator, on Asio and Beast.
//
// exchange() asks once and waits. run_load() keeps `concurrency` connections busy on one thread
// until all requests are answered: closed loop, keep-alive, a new request for each that ended.
// 1. No fault of a server ends the run: each request has a result, in the order of the bodies.
// Cost: 2 coroutines and about 20 KiB per connection.

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"
#include "server/commands/bench_options.h"
#include "server/commands/bench_stream.h"

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
  std::size_t in_flight = 0;
  std::size_t completion_tokens = 0;  // of the requests that are done
};
struct LoadResult {
  double seconds = 0;
  std::vector<BenchResult> requests;
};
// `bodies`: of POST /v1/completions, one per request. `report` is called every 200 ms.
[[nodiscard]] LoadResult run_load(const BenchOptions& options, std::span<const std::string> bodies,
                                  const std::function<void(const LoadProgress&)>& report);

}  // namespace quire::server
