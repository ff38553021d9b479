// The times that the load generator tells, against a server that knows when it sent what. What is
// checked follows from cause and effect, not from a tolerance: nothing is seen before it was sent,
// and everything is seen, in order. How large the error is, is printed.

#include "server/commands/bench_client.h"
#include "tests/server/commands/canned_server.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "server/commands/bench_report.h"

namespace quire::server {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr int kTokens = 40;
constexpr int kRequests = 24;
constexpr microseconds kFirst{20'000}, kGap{5'000};

const std::string kText = R"(data: {"choices":[{"index":0,"text":"a","finish_reason":null}]})"
                          "\n\n";
const std::string kEnd = R"(data: {"choices":[{"index":0,"text":"","finish_reason":"length"}]})"
                         "\n\n"
                         R"(data: {"choices":[],"usage":{"prompt_tokens":1,)"
                         R"("completion_tokens":40}})"
                         "\n\ndata: [DONE]\n\n";

// When each token left, by the body of its request.
struct Sent {
  std::mutex mutex;
  std::map<std::string, std::vector<Clock::time_point>> times;
};

CannedAnswer timed_answer(Sent& sent, const std::string& body) {
  const auto asked = Clock::now();
  const auto more = [&sent, body, asked](const SendBytes& send) {
    std::vector<Clock::time_point> times;
    for (int i = 0; i < kTokens; ++i) {
      std::this_thread::sleep_until(asked + kFirst + i * kGap);
      times.push_back(Clock::now());
      send(chunk_of(kText));
    }
    {  // before the end is sent: then the client may look
      const std::scoped_lock lock(sent.mutex);
      sent.times[body] = std::move(times);
    }
    send(chunk_of(kEnd) + chunk_of(""));
  };
  return {.bytes = chunked_head(), .more = more};
}

double milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

void print(const char* name, const std::vector<double>& values) {
  const Spread error = spread_of(values);
  std::printf("%-28s mean %.3f ms, p50 %.3f, p99 %.3f\n", name, error.mean, error.p50, error.p99);
}

}  // namespace

TEST_CASE("measured times against a known schedule") {
  Sent sent;
  CannedServer server([&](int, const std::string& body) { return timed_answer(sent, body); });
  BenchOptions options;
  options.url = parse_bench_url(std::string("http://127.0.0.1:").append(server.port()));
  options.trace_times = true;
  std::vector<Call> calls;
  for (int i = 0; i < kRequests; ++i) calls.push_back({0.01 * i, "call " + std::to_string(i)});
  const auto before = Clock::now();
  const LoadResult result = run_load(options, calls, [](const LoadProgress&) {});
  const auto after = Clock::now();

  std::vector<double> gap_errors, lags;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const BenchResult& request = result.requests[i];
    const std::vector<Clock::time_point>& times = sent.times.at(calls[i].body);
    REQUIRE(request.failure.empty());
    REQUIRE(times.size() == kTokens);
    REQUIRE(request.gaps.size() == kTokens - 1);
    CHECK(request.first_text * 1000 >= milliseconds(kFirst));
    CHECK(request.end >= request.last_text);
    CHECK(request.last_text - request.first_text ==
          Approx(std::accumulate(request.gaps.begin(), request.gaps.end(), 0.0)));
    // Seen no earlier than sent, even if the run had begun as early as could be.
    CHECK(before + std::chrono::duration<double>(request.start + request.last_text) <= after);
    CHECK(request.last_text * 1000 >= milliseconds(kFirst + (kTokens - 1) * kGap));
    lags.push_back(request.lag * 1000);
    for (std::size_t k = 0; k + 1 < times.size(); ++k) {
      gap_errors.push_back(std::abs(static_cast<double>(request.gaps[k]) * 1000 -
                                    milliseconds(times[k + 1] - times[k])));
    }
  }
  CHECK(gap_errors.size() == std::size_t{kRequests} * (kTokens - 1));
  print("error of a gap (ITL)", gap_errors);
  print("sent later than due", lags);
}

}  // namespace quire::server
