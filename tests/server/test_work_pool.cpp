// The work pool: whose turn it is, how many may wait, what is dropped, and what a job's exception
// does.

#include "server/handlers/handlers.h"
#include "server/handlers/off_thread.h"
#include "server/work_pool.h"
#include "tests/server/live_server.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <future>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

namespace quire::server {
namespace {

using testing::Client;
using testing::get;
using testing::LiveOptions;
using testing::LiveServer;
using testing::post;

// Keeps the pool's one thread at work until it goes.
class Blocked final {
 public:
  explicit Blocked(WorkPool& pool) {
    std::promise<void> begun;
    REQUIRE(pool.post("blocked", [this, &begun] {
      begun.set_value();
      end_.get_future().wait();
    }));
    begun.get_future().wait();
  }
  ~Blocked() { end(); }
  void end() {
    if (!std::exchange(ended_, true)) end_.set_value();
  }

 private:
  std::promise<void> end_;
  bool ended_ = false;
};

// Jobs that write their names into a text. The pool has one thread, whose text it is.
struct Diary {
  explicit Diary(WorkPool& shared_pool) : pool(shared_pool) {}
  auto post(std::string_view lane, char name) {
    return pool.post(lane, [this, name] { text += name; });
  }
  // The text once `count` have written.
  std::string read(std::size_t count) {
    while (true) {
      std::promise<std::string> so_far;
      const auto tell = [this, &so_far] { so_far.set_value(text); };
      while (!pool.post("reader", tell)) std::this_thread::yield();
      if (std::string read = so_far.get_future().get(); read.size() >= count) return read;
    }
  }
  WorkPool& pool;
  std::string text;
};

TEST_CASE("lanes take turns: a flood holds others up by one job") {
  WorkPool pool(1, 16);
  Diary diary(pool);
  Blocked blocked(pool);
  for (const char name : {'1', '2', '3', '4'}) REQUIRE(diary.post("flood", name));
  REQUIRE(diary.post("b", 'b'));
  REQUIRE(diary.post("c", 'c'));
  REQUIRE(diary.post("b", 'B'));
  blocked.end();
  CHECK(diary.read(7) == "1bc2B34");
}

TEST_CASE("a lane may have as many jobs waiting as places are free") {
  WorkPool pool(1, 4);
  Diary diary(pool);
  Blocked blocked(pool);
  CHECK(diary.post("a", 'a'));
  CHECK(diary.post("a", 'a'));
  CHECK_FALSE(diary.post("a", 'a'));
  CHECK(diary.post("b", 'b'));
  CHECK_FALSE(diary.post("b", 'b'));
  CHECK(diary.post("c", 'c'));
  CHECK_FALSE(diary.post("d", 'd'));  // full
  blocked.end();
  CHECK(diary.read(4) == "abca");
}

TEST_CASE("a job that is cancelled while it waits never runs, and gives its place back") {
  WorkPool pool(1, 2);
  Diary diary(pool);
  Blocked blocked(pool);
  const auto first = diary.post("a", 'a');
  REQUIRE(diary.post("b", 'b'));
  REQUIRE(first);
  REQUIRE_FALSE(diary.post("c", 'c'));
  pool.cancel(*first);
  pool.cancel(*first);
  CHECK(diary.post("c", 'c'));
  blocked.end();
  CHECK(diary.read(2) == "bc");
}

TEST_CASE("what a job throws ends neither the process nor the pool's thread") {
  WorkPool pool(1, 8);
  Diary diary(pool);
  REQUIRE(pool.post("a", [] { throw std::runtime_error("out of order"); }));
  REQUIRE(pool.post("a", [] { throw 1; }));
  REQUIRE(diary.post("a", 'x'));
  CHECK(diary.read(1) == "x");
}

TEST_CASE("short bodies go apart from long ones, and clients by key, else by address") {
  const Service service({});
  HttpRequest request;
  request.peer.bytes = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::string by_address = work_lane(service, request);
  request.body.text = std::string(service.options().inline_body_bytes + 1, 'x');
  CHECK(work_lane(service, request) != by_address);
  request.body.text.clear();
  request.key_name = "ann";
  const std::string of_ann = work_lane(service, request);
  CHECK(of_ann != by_address);
  request.peer.bytes = {};
  CHECK(work_lane(service, request) == of_ann);
  request.key_name = "bob";
  CHECK(work_lane(service, request) != of_ann);
}

// Its computation throws.
class BrokenJob final : public Job {
 public:
  explicit BrokenJob(Exchange exchange) {
    REQUIRE(work_.start(exchange.service.work(), "a", exchange.waker,
                        []() -> int { throw std::bad_alloc(); }));
  }
  void advance(ResponseWriter& writer, std::size_t /*max_output*/) override {
    if (work_.take()) writer.respond({});
  }
  void describe(RequestRecord& /*record*/) const override {}

 private:
  OffThread<int> work_;
};

TEST_CASE("what is thrown on the work pool is that request's fault alone: 500, and on") {
  const std::array table = {
      Route{"GET", "/broken", Access::kOpen,
            [](Exchange exchange) -> std::unique_ptr<Job> {
              return std::make_unique<BrokenJob>(exchange);
            }},
      Route{"GET", "/livez", Access::kOpen, handle_livez},
  };
  LiveOptions options;
  options.table = table;
  LiveServer live(options);
  Client client(live.port());
  for (int i = 0; i < 3; ++i) {
    const testing::Answer answer = client.ask(get("/broken"));
    CHECK(answer.status == 500);
    CHECK(answer.json().at("error").at("code") == "internal_error");
    CHECK(client.ask(get("/livez")).status == 200);
  }
}

TEST_CASE("a body whose deadline passed while it waited is not read any more") {
  LiveServer live;
  Client client(live.port());
  Blocked blocked(live.service().work());
  client.send(
      post("/v1/chat/completions", R"({"messages": "no list"})", "x-request-timeout-ms: 20\r\n"));
  while (live.service().in_flight() == 0) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  blocked.end();
  CHECK(client.read_answer().status == 503);  // and not the 400 that its body deserves
}

TEST_CASE("a client that leaves while its body waits takes it along") {
  LiveServer live;
  Blocked blocked(live.service().work());
  {
    Client client(live.port());
    client.send(post("/v1/chat/completions", "{\"x\":\"" + std::string(100000, 'x') + "\"}"));
    while (live.service().bodies().used() < 100000) std::this_thread::yield();
  }
  while (live.service().bodies().used() > 0) std::this_thread::yield();
  while (live.service().in_flight() > 0) std::this_thread::yield();
  CHECK(Client(live.port()).ask(get("/livez")).status == 200);
}

}  // namespace
}  // namespace quire::server
