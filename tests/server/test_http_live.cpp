// A live server against hostile and ordinary peers: it stays up, answers as the table says, and
// ends the connection where framing is in doubt.

#include "server/router.h"
#include "tests/server/http_corpus.h"
#include "tests/server/live_server.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <nlohmann/json.hpp>
#include <thread>

namespace quire::server {
namespace {

using namespace std::chrono_literals;
using testing::Answer;
using testing::Client;
using testing::get;
using testing::LiveOptions;
using testing::LiveServer;
using testing::post;

void check_error(const Answer& answer, int status) {
  CHECK(answer.status == status);
  CHECK(answer.body.size() <= 1024);
  const nlohmann::json error = answer.json().at("error");
  CHECK(error.size() == 4);
  CHECK(error.at("message").is_string());
  CHECK((error.contains("type") && error.contains("param") && error.contains("code")));
}

TEST_CASE("the corpus is answered and the connection closes") {
  LiveServer live;
  for (const testing::HttpCase& http_case : testing::http_corpus()) {
    INFO(http_case.name);
    Client client(live.port());
    const bool sent = client.send(http_case.bytes);
    if (http_case.name == "header without an end") client.close_write();
    const Answer answer = client.read_answer();
    if (http_case.status != 0) {
      // A peer that is cut off while it still sends may lose the answer.
      if (answer.status != 0 || sent) check_error(answer, http_case.status);
      client.close_write();
      CHECK(client.at_end());
    } else {
      CHECK((answer.status == 200 || answer.status == 400));  // 400: the body is no request
    }
    CHECK(Client(live.port()).ask(get("/livez")).status == 200);
  }
}

TEST_CASE("a trailer of 66,000 bytes, again and again") {
  LiveServer live;
  const std::string bomb =
      "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n0\r\nX-T: " +
      std::string(66000, 'a') + "\r\n\r\n";
  for (int i = 0; i < 50; ++i) {
    Client client(live.port());
    client.send(bomb);
    check_error(client.read_answer(), 400);
  }
  CHECK(Client(live.port()).ask(get("/health")).status == 200);
}

TEST_CASE("keep-alive, pipelining and the end of a connection") {
  LiveServer live;
  Client client(live.port());
  client.send(get("/livez") + get("/health") + get("/version") + get("/nothing"));
  CHECK(client.read_answer().status == 200);
  CHECK(client.read_answer().status == 200);
  CHECK(client.read_answer().status == 200);
  check_error(client.read_answer(), 404);
  const Answer last = client.ask(get("/livez", "Connection: close\r\n"));
  CHECK(last.field("connection") == "close");
  CHECK(client.at_end());
}

TEST_CASE("a request may come byte by byte") {
  LiveServer live;
  Client client(live.port());
  for (const char c : post("/tokenize", R"({"prompt":"ab"})")) client.send({&c, 1});
  CHECK(client.read_answer().json().at("count") == 2);
}

TEST_CASE("every answer has its date, server and id") {
  LiveServer live;
  Client client(live.port());
  const Answer answer = client.ask(get("/livez", "X-Request-Id: a.b-c_1\r\n"));
  CHECK(answer.field("server") == "quire");
  CHECK(answer.field("date").ends_with(" GMT"));
  CHECK(answer.field("x-request-id") == "a.b-c_1");
  for (const std::string& bad : {std::string("a b"), std::string(129, 'a'), std::string("a;b")}) {
    const std::string made =
        client.ask(get("/livez", "X-Request-Id: " + bad + "\r\n")).field("x-request-id");
    CHECK(made != bad);
    CHECK(is_request_id(made));
  }
}

TEST_CASE("HEAD has no body, and methods are told") {
  LiveServer live;
  Client client(live.port());
  client.send("HEAD /livez HTTP/1.1\r\nHost: h\r\n\r\n");
  const Answer head = client.read_answer(true);
  CHECK(head.status == 200);
  CHECK(head.field("content-length") != "0");
  const Answer wrong = client.ask(get("/v1/completions"));
  check_error(wrong, 405);
  CHECK(wrong.field("allow") == "POST");
  const Answer other = client.ask(post("/health", "{}"));
  check_error(other, 405);
  CHECK(other.field("allow") == "GET, HEAD");
}

TEST_CASE("media types") {
  LiveServer live;
  const auto status = [&live](const std::string& type) {
    Client client(live.port());
    return client
        .ask("POST /tokenize HTTP/1.1\r\nHost: h\r\n" + type +
             "Content-Length: 14\r\n\r\n{\"prompt\":\"a\"}")
        .status;
  };
  CHECK(status("Content-Type: application/json\r\n") == 200);
  CHECK(status("Content-Type: APPLICATION/JSON ; charset=utf-8\r\n") == 200);
  CHECK(status("Content-Type: text/plain\r\n") == 415);
  CHECK(status("Content-Type: application/x-www-form-urlencoded\r\n") == 415);
  CHECK(status("") == 415);
}

TEST_CASE("Expect: 100-continue is answered before the body, or with the refusal") {
  LiveServer live;
  Client client(live.port());
  const std::string request = post("/tokenize", R"({"prompt":"a"})", "Expect: 100-continue\r\n");
  const std::size_t body = request.find("{");
  client.send(request.substr(0, body));
  CHECK(client.read_answer().status == 100);
  client.send(request.substr(body));
  CHECK(client.read_answer().status == 200);
  client.send(post("/nowhere", "{}", "Expect: 100-continue\r\n"));
  CHECK(client.read_answer().status == 404);
}

LiveOptions impatient() {
  LiveOptions options;
  options.service.http.header_timeout = 150ms;
  options.service.http.body_gap_timeout = 150ms;
  options.service.http.body_timeout = 400ms;
  options.service.http.idle_timeout = 150ms;
  options.service.http.linger_timeout = 50ms;
  return options;
}

TEST_CASE("slow peers are ended: header, body, idle") {
  LiveServer live(impatient());
  Client header(live.port());
  header.send("GET /livez HTTP/1.1\r\nHo");
  check_error(header.read_answer(), 408);
  CHECK(header.at_end());

  Client body(live.port());
  body.send(
      "POST /tokenize HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
      "Content-Length: 100\r\n\r\n{");
  check_error(body.read_answer(), 408);
  CHECK(body.at_end());

  Client trickle(live.port());  // never pauses long, never ends
  trickle.send(
      "POST /tokenize HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
      "Content-Length: 1000000\r\n\r\n");
  while (trickle.send("a")) std::this_thread::sleep_for(20ms);  // ends when the server closes
  const int status = trickle.read_answer().status;
  CHECK((status == 408 || status == 0));  // 0: lost in the reset

  Client idle(live.port());
  CHECK(idle.ask(get("/livez")).status == 200);
  CHECK(idle.at_end());
  Client silent(live.port());
  CHECK(silent.at_end());
}

TEST_CASE("a connection takes so many requests") {
  LiveOptions options;
  options.service.http.max_requests_per_connection = 3;
  LiveServer live(options);
  Client client(live.port());
  CHECK(client.ask(get("/livez")).field("connection").empty());
  CHECK(client.ask(get("/livez")).field("connection").empty());
  CHECK(client.ask(get("/livez")).field("connection") == "close");
  CHECK(client.at_end());
}

TEST_CASE("too many connections: 503, and room again") {
  LiveOptions options;
  options.listener.max_connections = 16;
  LiveServer live(options);
  {
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 16; ++i) {
      clients.push_back(std::make_unique<Client>(live.port()));
      CHECK(clients.back()->ask(get("/livez")).status == 200);
    }
    Client late(live.port());
    const Answer refused = late.ask(get("/livez"));
    check_error(refused, 503);
    CHECK_FALSE(refused.field("retry-after").empty());
    CHECK(late.at_end());
  }
  while (live.server().num_connections() > 0) std::this_thread::sleep_for(1ms);
  CHECK(Client(live.port()).ask(get("/livez")).status == 200);
}

TEST_CASE("bodies in flight have a budget") {
  LiveOptions options;
  options.service.http.max_bodies_bytes = 1000;
  LiveServer live(options);
  Client first(live.port());
  const std::string request = post("/tokenize", "{\"prompt\":\"" + std::string(700, 'a') + "\"}");
  first.send(request.substr(0, request.size() - 1));
  while (live.service().bodies().used() < 700) std::this_thread::sleep_for(1ms);
  const Answer refused = Client(live.port()).ask(request);
  check_error(refused, 503);
  CHECK_FALSE(refused.field("retry-after").empty());
  first.send(request.substr(request.size() - 1));
  CHECK(first.read_answer().status == 200);
  first.close_write();
  CHECK(first.at_end());
  CHECK(live.service().bodies().used() == 0);
}

TEST_CASE("cross-origin calls only from named origins") {
  const std::string preflight =
      "OPTIONS /v1/completions HTTP/1.1\r\nHost: h\r\nOrigin: https://good.test\r\n"
      "Access-Control-Request-Method: POST\r\n\r\n";
  {
    LiveServer live;
    Client client(live.port());
    CHECK(client.ask(get("/livez", "Origin: https://good.test\r\n"))
              .field("access-control-allow-origin")
              .empty());
    CHECK(client.ask(preflight).status == 405);
  }
  LiveOptions options;
  options.service.allowed_origins = {"https://good.test"};
  LiveServer live(options);
  Client client(live.port());
  const Answer good = client.ask(get("/livez", "Origin: https://good.test\r\n"));
  CHECK(good.field("access-control-allow-origin") == "https://good.test");
  CHECK(good.field("access-control-allow-credentials").empty());
  CHECK(client.ask(get("/livez", "Origin: https://evil.test\r\n"))
            .field("access-control-allow-origin")
            .empty());
  const Answer allowed = client.ask(preflight);
  CHECK(allowed.status == 204);
  CHECK(allowed.field("access-control-allow-methods") == "GET, POST, OPTIONS");
  CHECK(allowed.field("vary") == "Origin");
  const std::string fields = allowed.field("access-control-allow-headers");
  for (const char* name : {"authorization", "x-request-timeout-ms", "x-stainless-retry-count"}) {
    CHECK(fields.find(name) != std::string::npos);
  }
  // Who is refused may read why; and neither a part of the name nor "null" is the name.
  const Answer refused = client.ask(get("/nothing", "Origin: https://good.test\r\n"));
  CHECK(refused.status == 404);
  CHECK(refused.field("access-control-allow-origin") == "https://good.test");
  CHECK(refused.field("access-control-expose-headers") == "x-request-id, retry-after");
  for (const char* other : {"https://good.test.evil.test", "http://good.test", "null",
                            "https://good.test:444", "https://good.tes"}) {
    INFO(other);
    const Answer none = client.ask(get("/livez", "Origin: " + std::string(other) + "\r\n"));
    CHECK(none.field("access-control-allow-origin").empty());
    CHECK(none.field("vary") == "Origin");
  }
}

// Each route without a key, with a wrong one, a user's and an admin's.
TEST_CASE("who may call which route") {
  LiveOptions options;
  options.service.max_failed_keys = 1000;
  LiveServer live(options);
  REQUIRE(live.service()
              .keys()
              .parse("# keys\nann:" + sha256_hex("k-ann") + "\nroot:" + sha256_hex("k-root") +
                         ":admin\n",
                     "keys")
              .ok());
  for (const Route& route : routes()) {
    INFO(route.path);
    std::string path(route.path);
    if (const auto at = path.find("{id}"); at != std::string::npos) {
      path.replace(at, 4, path.starts_with("/ui/") ? "app.js" : "fake");
    }
    const auto ask = [&](const std::string& fields) {
      Client client(live.port());
      return client.ask(route.method == "GET" ? get(path, fields) : post(path, "{}", fields));
    };
    const Answer none = ask("");
    const Answer wrong = ask("Authorization: Bearer k-bob\r\n");
    const Answer user = ask("Authorization: Bearer k-ann\r\n");
    const Answer admin = ask("authorization: bearer  k-root\r\n");
    const bool of_a_request = route.path.starts_with("/v1/requests/");
    const int served = of_a_request ? 404 : route.method == "GET" ? 200 : 400;  // {}: no prompt
    CHECK(admin.status == served);
    CHECK(user.status == (route.access == Access::kAdmin ? 403 : served));
    if (route.access == Access::kOpen) {
      CHECK(none.status == served);
      continue;
    }
    check_error(none, 401);
    CHECK(wrong.status == 401);
    CHECK(none.body == wrong.body);
    CHECK(none.field("www-authenticate") == "Bearer");
    CHECK(ask("Authorization: Basic k-ann\r\n").body == none.body);
    CHECK(ask("Authorization: Bearer\r\n").body == none.body);
  }
}

TEST_CASE("while the model is loaded only the open routes serve") {
  LiveOptions options;
  options.with_engine = false;
  LiveServer live(options);
  Client client(live.port());
  CHECK(client.ask(get("/livez")).status == 200);
  check_error(client.ask(get("/health")), 503);
  check_error(client.ask(get("/v1/models")), 503);
  check_error(client.ask(post("/v1/completions", R"({"prompt":"a"})")), 503);
  check_error(client.ask(post("/tokenize", R"({"prompt":"a"})")), 503);
}

TEST_CASE("models, versions and texts") {
  LiveServer live;
  Client client(live.port());
  CHECK(client.ask(get("/v1/models")).json().at("data").at(0).at("id") == "fake");
  CHECK(client.ask(get("/v1/models/fake")).json().at("object") == "model");
  CHECK(client.ask(get("/v1/models/%66ake")).status == 200);
  check_error(client.ask(get("/v1/models/other")), 404);
  check_error(client.ask(get("/v1/models/%zz")), 404);
  CHECK(client.ask(get("/version")).json().contains("version"));
  CHECK(client.ask(get("/openapi.json")).json().contains("paths"));
  CHECK(client.ask(post("/detokenize", R"({"tokens":[33,34]})")).json().at("prompt") == "AB");
  // Long enough for the work pool.
  const std::string text(200000, 'x');
  const Answer tokens = client.ask(post("/tokenize", "{\"prompt\":\"" + text + "\"}"));
  CHECK(tokens.json().at("count") == 200000);
}

TEST_CASE("a body that is still coming when the server drains is refused") {
  LiveServer live;
  Client client(live.port());
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
      "Content-Length: 1000\r\n\r\n{");
  while (live.service().bodies().used() == 0) std::this_thread::yield();
  live.service().set_phase(Service::Phase::kDraining);
  live.server().wake_all();
  const Answer answer = client.read_answer();
  check_error(answer, 503);
  CHECK_FALSE(answer.field("retry-after").empty());
  CHECK(client.at_end());
}

TEST_CASE("a body that is refused while it comes keeps the request's id and origin") {
  LiveOptions options;
  options.service.allowed_origins = {"https://a.test"};
  options.service.http.max_body_bytes = 100;
  LiveServer live(options);
  const std::string fields =
      " /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
      "X-Request-Id: mine\r\nOrigin: https://a.test\r\n";
  for (const std::string& rest :
       {std::string("Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        std::string("Transfer-Encoding: chunked\r\n\r\n65\r\n") + std::string(101, 'x')}) {
    Client client(live.port());
    client.send("POST" + fields + rest);
    const Answer answer = client.read_answer();
    CHECK((answer.status == 400 || answer.status == 413));
    CHECK(answer.field("x-request-id") == "mine");
    CHECK(answer.field("access-control-allow-origin") == "https://a.test");
    client.close_write();
    CHECK(client.at_end());
  }
}

TEST_CASE("who sends a flood behind his request is cut off: his end could not be seen") {
  LiveOptions options;
  options.step_delay = 2ms;
  LiveServer live(options);
  Client client(live.port());
  client.send(post("/v1/completions", R"({"prompt": "a", "max_tokens": 1900})"));
  while (live.engine().status().running == 0) std::this_thread::yield();
  client.send(std::string(80000, 'x'));
  CHECK(client.at_end());
  CHECK(live.wait_idle());
  CHECK(live.engine().status().requests_aborted == 1);
}

}  // namespace
}  // namespace quire::server
