// The request parser alone: every case of the corpus whole, byte by byte and in pieces; what it
// accepts; and the budget of bodies.

#include "server/request_parser.h"
#include "tests/server/http_corpus.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <cstdint>
#include <random>
#include <string>

namespace quire::server {
namespace {

using State = RequestParser::State;

struct Outcome {
  State state;
  int status;
  std::size_t left;  // bytes not consumed
  HttpRequest request;
};

// Feeds `bytes` in pieces of `piece`, as a connection does.
Outcome parse(const std::string& bytes, std::size_t piece, const HttpLimits& limits = {},
              BodyBudget* budget = nullptr) {
  RequestParser parser(limits, budget);
  std::string buffer;
  std::size_t at = 0;
  while (true) {
    buffer.erase(0, parser.feed(buffer));
    if (parser.state() == State::kDone || parser.state() == State::kError) break;
    if (parser.state() == State::kHeader) continue;
    CHECK(buffer.size() <= limits.max_header_bytes);
    if (at == bytes.size()) break;
    const std::size_t size = std::min(piece, bytes.size() - at);
    buffer.append(bytes, at, size);
    at += size;
  }
  return {parser.state(), parser.error_status(), buffer.size() + bytes.size() - at,
          std::move(parser.request())};
}

void check(const testing::HttpCase& http_case, std::size_t piece) {
  const Outcome outcome = parse(http_case.bytes, piece);
  if (http_case.status == 0) {
    CHECK(outcome.state == State::kDone);
    CHECK(outcome.left == 0);
  } else {
    CHECK(outcome.state == State::kError);
    CHECK(outcome.status == http_case.status);
  }
}

TEST_CASE("the corpus is refused or taken, however it is cut") {
  CHECK(testing::http_corpus().size() >= 100);
  for (const testing::HttpCase& http_case : testing::http_corpus()) {
    INFO(http_case.name);
    check(http_case, std::string::npos);
    check(http_case, 1460);
    if (http_case.bytes.size() < 20000) check(http_case, 1);
  }
}

TEST_CASE("no prefix of a refused request is taken for a whole one") {
  for (const testing::HttpCase& http_case : testing::http_corpus()) {
    if (http_case.status == 0 || http_case.bytes.size() > 600) continue;
    INFO(http_case.name);
    for (std::size_t size = 0; size < http_case.bytes.size(); ++size) {
      CHECK(parse(http_case.bytes.substr(0, size), std::string::npos).state != State::kDone);
    }
  }
}

TEST_CASE("a request is taken apart") {
  const Outcome got = parse(
      "POST /v1/x%20y?a=b HTTP/1.1\r\nhOsT: h:1\r\nX-Thing: \t a b \t\r\nX-Thing: c\r\n"
      "Content-Length: 5\r\nConnection: keep-alive\r\n\r\nhelloGET",
      std::string::npos);
  REQUIRE(got.state == State::kDone);
  CHECK(got.left == 3);  // the next request's
  CHECK(got.request.method == "POST");
  CHECK(got.request.path == "/v1/x%20y");
  CHECK(got.request.query == "a=b");
  CHECK(got.request.field("host") == "h:1");
  CHECK(got.request.field("x-thing") == "a b");
  CHECK(got.request.body.text == "hello");
  CHECK(got.request.keep_alive);
  CHECK(got.request.field("absent").empty());
}

TEST_CASE("a whole URL comes to its path") {
  const Outcome got = parse("GET http://h:8000/v1/x?a=b://c HTTP/1.1\r\nHost: h:8000\r\n\r\n", 1);
  REQUIRE(got.state == State::kDone);
  CHECK(got.request.path == "/v1/x");
  CHECK(got.request.query == "a=b://c");
  CHECK(parse("GET /x?u=http://other/ HTTP/1.1\r\nHost: h\r\n\r\n", 99).request.path == "/x");
}

TEST_CASE("keep-alive follows version and Connection") {
  const auto keep_alive = [](const std::string& version, const std::string& connection) {
    return parse("GET / HTTP/" + version + "\r\nHost: h\r\n" + connection + "\r\n", 9999)
        .request.keep_alive;
  };
  CHECK(keep_alive("1.1", ""));
  CHECK_FALSE(keep_alive("1.1", "Connection: close\r\n"));
  CHECK_FALSE(keep_alive("1.0", ""));
  CHECK(keep_alive("1.0", "Connection: keep-alive\r\n"));
}

TEST_CASE("a body joins its chunks") {
  const Outcome got = parse(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n0a;n=v\r\n0123456789\r\n00\r\n\r\nnext",
      2);
  REQUIRE(got.state == State::kDone);
  CHECK(got.request.body.text == "abc0123456789");
  CHECK(got.left == 4);
}

TEST_CASE("a body of the very limit is taken, one byte more is not") {
  HttpLimits limits;
  limits.max_body_bytes = 1000;
  for (const std::size_t size : {std::size_t{1000}, std::size_t{1001}}) {
    const std::string body(size, 'x');
    const Outcome whole = parse(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + body,
        100, limits);
    std::string chunks;
    for (const char c : body) chunks += std::string("1\r\n") + c + "\r\n";
    const Outcome chunked = parse(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + "0\r\n\r\n",
        100, limits);
    CHECK((whole.state == State::kDone) == (size == 1000));
    CHECK((chunked.state == State::kDone) == (size == 1000));
  }
}

TEST_CASE("bodies are charged against the budget and given back") {
  BodyBudget budget(1000);
  const std::string request =
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 600\r\n\r\n" + std::string(600, 'x');
  {
    const Outcome first = parse(request, 100, {}, &budget);
    CHECK(first.state == State::kDone);
    CHECK(budget.used() == 600);
    const Outcome second = parse(request, 100, {}, &budget);
    CHECK(second.state == State::kError);
    CHECK(second.status == 503);
  }
  CHECK(budget.used() == 0);
}

// Random damage to good requests: no input may crash it, and what is consumed stays within the
// input.
TEST_CASE("damaged requests are refused or taken, never worse") {
  const std::string good[] = {
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
      "chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
      "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
      "GET /a?b HTTP/1.0\r\nHost: h\r\nConnection: keep-alive, close\r\nX: y\r\n\r\n"};
  std::mt19937 random(20261122);
  constexpr std::string_view kSpice = "\r\n \t:;,0f\xff";
  int taken = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good[round % 3];
    for (unsigned i = 0; i <= random() % 3; ++i) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 3) {
        case 0:
          bytes[at] = kSpice[random() % kSpice.size()];
          break;
        case 1:
          bytes.insert(at, 1, kSpice[random() % kSpice.size()]);
          break;
        default:
          bytes.erase(at, 1);
      }
    }
    const Outcome outcome = parse(bytes, 1 + random() % 40);
    taken += outcome.state == State::kDone;
    CHECK(outcome.left <= bytes.size());
    if (outcome.state == State::kError) CHECK(outcome.status >= 400);
  }
  CHECK(taken > 0);
  CHECK(taken < 20000);
}

}  // namespace
}  // namespace quire::server
