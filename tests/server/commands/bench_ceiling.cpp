// bench_ceiling [connections] [requests] [events]: how many events per second `quire bench` can
// take, from a server in this process that sends answers it made before. Prints also the processor
// time of the generator's thread, which says what it could do if the server cost nothing.

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "server/commands/bench_client.h"
#include "tests/server/commands/canned_server.h"

namespace {

using namespace quire::server;

// An answer as Quire writes it: one token an event, one event a chunk.
std::string answer_of(int events) {
  const std::string head =
      R"(data: {"id":"cmpl-5ac03120e0ef7693","object":"text_completion","created":1795371755,)"
      R"("model":"quire-default","system_fingerprint":"fp_29846d718c","choices":)";
  std::vector<std::string> chunks;
  for (int i = 0; i < events; ++i) {
    chunks.push_back(head + R"([{"index":0,"text":" word","logprobs":null,"finish_reason":)" +
                     (i + 1 < events ? "null" : R"("length")") +
                     R"(,"stop_reason":null}],"usage":null})" + "\n\n");
  }
  chunks.push_back(head + R"([],"usage":{"prompt_tokens":9,"completion_tokens":)" +
                   std::to_string(events) + "}}\n\n");
  chunks.emplace_back("data: [DONE]\n\n");
  return chunked_answer(chunks);
}

double own_seconds() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int argument(int argc, char** argv, int index, int otherwise) {
  return argc > index ? static_cast<int>(std::strtol(argv[index], nullptr, 10)) : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  const int connections = argument(argc, argv, 1, 64);
  const int requests = argument(argc, argv, 2, 2000);
  const int events = argument(argc, argv, 3, 256);
  const std::string answer = answer_of(events);
  CannedServer server([&](int, const std::string&) { return CannedAnswer{answer}; });
  BenchOptions options;
  options.url = parse_bench_url(std::string("http://127.0.0.1:").append(server.port()));
  options.concurrency = connections;
  const std::vector<Call> calls(static_cast<std::size_t>(requests), Call{.at = 0, .body = "{}"});
  const double before = own_seconds();
  const LoadResult result = run_load(options, calls, [](const LoadProgress&) {});
  const double busy = own_seconds() - before;
  std::size_t failed = 0;
  for (const BenchResult& request : result.requests) failed += request.ok() ? 0 : 1;
  const double all = static_cast<double>(requests) * (events + 2);
  std::printf(
      "%d connections: %.0f events/s over %.2f s, %zu failed; %.2f microseconds of the "
      "generator's thread an event, %.0f events/s if it had a core to itself\n",
      connections, all / result.seconds, result.seconds, failed, busy / all * 1e6, all / busy);
  return failed == 0 ? 0 : 1;
}
