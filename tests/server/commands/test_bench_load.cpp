// The load generator against servers that do right and that do wrong.

#include "server/commands/bench.h"
#include "server/commands/bench_client.h"
#include "tests/server/commands/canned_server.h"

#include <atomic>
#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace quire::server {
namespace {

const std::string kText = R"(data: {"choices":[{"index":0,"text":"a","finish_reason":null}]})"
                          "\n\n";
const std::string kFinish = R"(data: {"choices":[{"index":0,"text":"b","finish_reason":"length"}]})"
                            "\n\n";
const std::string kUsage =
    R"(data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})"
    "\n\n";
const std::string kDone = "data: [DONE]\n\n";

std::string right_answer() { return chunked_answer({kText, kFinish, kUsage, kDone}); }

std::string plain_answer(const std::string& status, const std::string& body) {
  return "HTTP/1.1 " + status +
         "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

BenchOptions options_for(const CannedServer& server) {
  BenchOptions options;
  options.url = parse_bench_url(std::string("http://127.0.0.1:").append(server.port()));
  options.concurrency = 4;
  options.timeout_seconds = 60;
  return options;
}

LoadResult load(const CannedServer& server, std::size_t count) {
  const std::vector<Call> calls(count, Call{.at = 0, .body = "{}"});
  return run_load(options_for(server), calls, [](const LoadProgress&) {});
}

// The reason that one request has for its failure when it is answered so.
std::string failure_of(const std::string& answer, bool then_close) {
  CannedServer server([&](int, const std::string&) { return CannedAnswer{answer, then_close}; });
  const LoadResult result = load(server, 1);
  REQUIRE(result.requests.size() == 1);
  return result.requests[0].failure;
}

std::size_t failed(const LoadResult& result) {
  std::size_t count = 0;
  for (const BenchResult& request : result.requests) count += request.ok() ? 0 : 1;
  return count;
}

}  // namespace

TEST_CASE("right answers are counted and connections kept") {
  CannedServer server([](int, const std::string&) { return CannedAnswer{right_answer()}; });
  const LoadResult result = load(server, 50);
  CHECK(result.requests.size() == 50);
  CHECK(failed(result) == 0);
  CHECK(result.requests[7].completion_tokens == 2);
  CHECK(server.connections() <= 4);
}

TEST_CASE("an answer may end with its connection") {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + kText +
                             kFinish + kUsage + kDone;
  CHECK(failure_of(answer, true).empty());
}

TEST_CASE("a kept connection that the server closes in silence is replaced") {
  CannedServer server([](int, const std::string&) {
    return CannedAnswer{.bytes = right_answer(), .then_close = true};
  });
  CHECK(failed(load(server, 20)) == 0);
}

TEST_CASE("wrong answers fail with their reason") {
  CHECK(failure_of(chunked_answer({kText, kFinish, kUsage}), false) == "ended without [DONE]");
  CHECK(failure_of(chunked_answer({kText, kDone}), false) == "ended without a finish_reason");
  CHECK(failure_of("", true) == "connection closed before the answer ended");
  CHECK(failure_of("HTTP/1.1 200 OK\r\n", true) == "connection closed before the answer ended");
  const std::string whole = right_answer();
  CHECK(failure_of(whole.substr(0, whole.size() - 5), true) ==
        "connection closed before the answer ended");
  CHECK(failure_of(whole.substr(0, 160), true) == "connection closed before the answer ended");
  CHECK(failure_of(plain_answer("500 Oops", R"({"error":{"message":"broken"}})"), false) ==
        "HTTP status 500: broken");
  CHECK(failure_of(plain_answer("200 OK", "{}"), false) == "the answer is no event stream");
  CHECK_FALSE(failure_of("garbage\r\n\r\n", true).empty());
}

TEST_CASE("one bad answer does not disturb the others") {
  CannedServer server([](int number, const std::string&) {
    if (number % 5 == 0) return CannedAnswer{"", true};
    if (number % 5 == 1) return CannedAnswer{plain_answer("503 Busy", "{}"), false};
    return CannedAnswer{right_answer()};
  });
  const LoadResult result = load(server, 40);
  CHECK(result.requests.size() == 40);
  CHECK(failed(result) >= 8);  // each 503; a kept connection that breaks is tried again
  CHECK(failed(result) <= 20);
}

TEST_CASE("in an open loop every call is sent, none before its time, and connections are kept") {
  std::vector<Call> calls;
  for (int i = 0; i < 40; ++i) calls.push_back({.at = 0.002 * i, .body = std::to_string(i)});
  std::mutex mutex;
  std::multiset<std::string> seen;
  CannedServer server([&](int, const std::string& body) {
    const std::scoped_lock lock(mutex);
    seen.insert(body);
    return CannedAnswer{right_answer()};
  });
  BenchOptions options = options_for(server);
  options.trace_times = true;
  const LoadResult result = run_load(options, calls, [](const LoadProgress&) {});
  CHECK(failed(result) == 0);
  CHECK(seen.size() == 40);
  CHECK(std::set<std::string>(seen.begin(), seen.end()).size() == 40);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    CHECK(result.requests[i].start == Approx(calls[i].at));
    CHECK(result.requests[i].lag >= 0);
    CHECK(result.requests[i].first_text >= result.requests[i].lag);
  }
  CHECK(result.seconds >= calls.back().at);
}

TEST_CASE("an open loop does not wait for answers") {
  std::mutex mutex;
  std::condition_variable all_here;
  int here = 0;
  CannedServer server([&](int, const std::string&) {  // answers when all six have asked
    std::unique_lock lock(mutex);
    ++here;
    all_here.notify_all();
    all_here.wait(lock, [&] { return here >= 6; });
    return CannedAnswer{right_answer()};
  });
  BenchOptions options = options_for(server);
  options.concurrency = 1;
  options.request_rate = 1000;
  const std::vector<Call> calls(6, Call{.at = 0, .body = "{}"});
  LoadProgress last;
  const LoadResult result =
      run_load(options, calls, [&](const LoadProgress& progress) { last = progress; });
  CHECK(failed(result) == 0);
  CHECK(last.done == 6);
  CHECK(last.waiting == 0);
  CHECK(last.running == 0);
  CHECK(last.texts == 12);
}

TEST_CASE("chats go to their own path and are read") {
  const std::string first = R"(data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]})"
                            "\n\n";
  const std::string second = R"(data: {"choices":[{"index":0,"delta":{"content":"a"}}]})"
                             "\n\n";
  const std::string end = R"(data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"
                          "\n\n";
  CannedServer server([&](int, const std::string& body) {
    const bool chat = body.find(R"("messages":[{)") != std::string::npos;
    return CannedAnswer{chat ? chunked_answer({first, second, end, kUsage, kDone}) : ""};
  });
  BenchOptions options = options_for(server);
  options.chat = true;
  options.model = "m";
  options.num_prompts = 3;
  const LoadResult result =
      run_load(options, make_calls(options, "m", WordCosts::estimated()), [](const auto&) {});
  CHECK(failed(result) == 0);
  CHECK(result.requests.size() == 3);
}

TEST_CASE("nobody listens") {
  BenchOptions options;
  {
    CannedServer server([](int, const std::string&) { return CannedAnswer{}; });
    options = options_for(server);
  }
  const std::vector<Call> calls(3, Call{.at = 0, .body = "{}"});
  const LoadResult result = run_load(options, calls, [](const LoadProgress&) {});
  CHECK(failed(result) == 3);
  CHECK_FALSE(exchange(options, "/v1/models", "").ok());
  CHECK_THROWS_AS(run_bench(options), StartupError);
}

TEST_CASE("the whole command: status 0 when all went well, 1 when one did not") {
  std::atomic<int> spoilt = -1;  // the number of the request that is answered wrongly
  CannedServer server([&](int number, const std::string& body) {
    if (body.empty()) return CannedAnswer{plain_answer("200 OK", R"({"data":[{"id":"m"}]})")};
    if (body.find("max_tokens") == std::string::npos) {
      return CannedAnswer{plain_answer("404 Not Found", "{}")};  // no /tokenize here
    }
    if (body.find(R"("model":"m")") == std::string::npos) return CannedAnswer{"", true};
    return CannedAnswer{number == spoilt ? plain_answer("500 Oops", "{}") : right_answer()};
  });
  BenchOptions options = options_for(server);
  options.num_prompts = 8;
  CHECK(run_bench(options) == 0);
  spoilt = 10 + 5;  // two questions before each load of eight
  CHECK(run_bench(options) == 1);
}

}  // namespace quire::server
