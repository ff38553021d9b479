// GET /pages over a live server: one answer, one request, one block, and the stream of changes.

#include "server/page_feed.h"
#include "tests/server/live_server.h"

#include <nlohmann/json.hpp>
#include <string>

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::server {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::Answer;
using testing::Client;
using testing::get;
using testing::LiveServer;
using testing::post;

const std::string kLong =
    R"({"prompt": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "max_tokens": 500, "stream": true})";

testing::LiveOptions options(std::chrono::milliseconds step_delay, bool with_engine = true) {
  testing::LiveOptions options;
  options.step_delay = step_delay;
  options.with_engine = with_engine;
  return options;
}

// The next event of a stream that `client` has asked for.
json next_event(Client& client, std::string& seen) {
  while (true) {
    const std::size_t begin = seen.find("data: ");
    const std::size_t end = begin == std::string::npos ? begin : seen.find("\n\n", begin);
    if (end != std::string::npos) {
      const json event = json::parse(seen.substr(begin + 6, end - begin - 6));
      seen.erase(0, end + 2);
      return event;
    }
    REQUIRE(client.read_until("\n\n"));
    seen += client.take_buffered();
  }
}

TEST_CASE("the pool at rest, and by parts that are not there") {
  LiveServer live;
  const Answer answer = Client(live.port()).ask(get("/pages"));
  CHECK(answer.status == 200);
  CHECK(answer.json().at("num_blocks") == 4096);
  CHECK(answer.json().at("requests").empty());
  CHECK(Client(live.port()).ask(get("/pages?block=4095")).json().at("id") == 4095);
  CHECK(Client(live.port()).ask(get("/pages?block=4096")).status == 404);
  CHECK(Client(live.port()).ask(get("/pages?request=999")).status == 404);
  for (const char* query : {"x=1", "stream=2", "block=", "block=-1", "request=1x", "block=1&x=2",
                            "stream", "block=99999999999999999999"}) {
    const Answer refused = Client(live.port()).ask(get(std::string("/pages?") + query));
    CHECK(refused.status == 400);
    CHECK(refused.json().at("error").at("param") == "query");
  }
}

TEST_CASE("while the model is loaded there are no pages") {
  LiveServer live(options(0ms, false));
  CHECK(Client(live.port()).ask(get("/pages")).status == 503);
}

TEST_CASE("a running request holds what it is said to hold") {
  LiveServer live(options(5ms));
  Client generating(live.port());
  generating.send(post("/v1/completions", kLong));
  REQUIRE(generating.read_until("data: "));
  const json pool = Client(live.port()).ask(get("/pages")).json();
  REQUIRE(pool.at("requests").size() == 1);
  const std::string id = std::to_string(pool.at("requests")[0].at("id").get<int>());
  const json request = Client(live.port()).ask(get("/pages?request=" + id)).json();
  CHECK(request.at("request").at("state") == "running");
  const int block = request.at("runs")[0][0].get<int>();
  const json held = Client(live.port()).ask(get("/pages?block=" + std::to_string(block))).json();
  CHECK(held.at("state") == "running");
  CHECK(held.at("owners")[0].get<int>() == std::stoi(id));
}

TEST_CASE("who watches sees requests come and go") {
  LiveServer live(options(2ms));
  Client watcher(live.port());
  watcher.send(get("/pages?stream=1"));
  std::string seen;
  json event = next_event(watcher, seen);
  CHECK(event.at("all") == "f4096");
  CHECK(event.at("stats").at("running") == 0);

  Client generating(live.port());
  generating.send(post("/v1/completions", kLong));
  while (event.at("requests").empty()) event = next_event(watcher, seen);
  CHECK(event.contains("changes"));
  CHECK(event.at("requests")[0][1] == "r");
  generating.reset();
  while (!event.at("requests").empty()) event = next_event(watcher, seen);
  CHECK(event.at("stats").at("running") == 0);
}

TEST_CASE("a watcher that leaves is forgotten") {
  LiveServer live;
  for (int i = 0; i < PageFeed::kMaxWatchers + 20; ++i) {  // one that stayed would take a place
    Client watcher(live.port());
    watcher.send(get("/pages?stream=1"));
    REQUIRE(watcher.read_until("data: "));
    i % 2 == 0 ? watcher.reset() : watcher.close_write();
  }
  CHECK(live.wait_idle());
  CHECK(Client(live.port()).ask(get("/pages")).status == 200);
}

TEST_CASE("who watches is told when the server drains, and does not hold its end") {
  LiveServer live;
  Client watcher(live.port());
  watcher.send(get("/pages?stream=1"));
  REQUIRE(watcher.read_until("data: "));
  live.service().set_phase(Service::Phase::kDraining);
  live.server().wake_all();
  CHECK(watcher.read_answer().events().back() == "[DONE]");
  CHECK(live.wait_idle());
}

TEST_CASE("HEAD gets no event") {
  LiveServer live;
  Client client(live.port());
  client.send("HEAD /pages?stream=1 HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.read_answer(true).field("content-type") == "text/event-stream");
  CHECK(client.ask(get("/livez")).status == 200);  // what came next was this answer
}

}  // namespace
}  // namespace quire::server
