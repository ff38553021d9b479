// What is told of a request once it is over: /v1/requests/{id}, its ring, and the log's fields.

#include "server/request_record.h"
#include "tests/server/live_server.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <nlohmann/json.hpp>
#include <thread>

namespace quire::server {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::Answer;
using testing::Client;
using testing::completion;
using testing::get;
using testing::LiveOptions;
using testing::LiveServer;
using testing::post;

// The record is there when the connection has finished with the request, a little after its answer.
json record_of(LiveServer& live, const std::string& id, const std::string& fields = "") {
  for (int i = 0; i < 2000; ++i) {
    const Answer answer = Client(live.port()).ask(get("/v1/requests/" + id, fields));
    if (answer.status == 200) return answer.json();
    std::this_thread::sleep_for(1ms);
  }
  return nullptr;
}

TEST_CASE("a request is told by its id and by its answer's") {
  LiveOptions options;
  options.engine.scheduler.max_num_batched_tokens = 16;
  LiveServer live(options);
  const std::string prompt(40, 'p');
  Client client(live.port());
  const Answer answer = client.ask(
      completion({{"prompt", prompt}, {"max_tokens", 5}}, "X-Request-Id: my-request.1\r\n"));
  REQUIRE(answer.status == 200);
  CHECK(answer.field("x-request-id") == "my-request.1");
  const json told = record_of(live, "my-request.1");
  REQUIRE(told.is_object());
  CHECK(told.at("answer_id") == answer.json().at("id"));
  CHECK(told.at("status") == 200);
  CHECK(told.at("route") == "/v1/completions");
  CHECK(told.at("finish_reason") == "length");
  CHECK(told.at("prompt_tokens") == 40);
  CHECK(told.at("completion_tokens") == 5);
  CHECK(told.at("cached_tokens") == 0);
  CHECK(told.at("prefill_chunks") == 3);  // 40 tokens by 16
  CHECK(told.at("preemptions") == 0);
  CHECK(told.at("queue_ms").get<double>() <= told.at("first_token_ms").get<double>());
  CHECK(told.at("first_token_ms").get<double>() <= told.at("duration_ms").get<double>());
  CHECK(told.at("ms_per_token").is_number());
  CHECK(record_of(live, answer.json().at("id")) == told);

  // The same prompt again finds the pages of the first.
  REQUIRE(client
              .ask(completion({{"prompt", prompt}, {"max_tokens", 1}},
                              "X-Request-Id: my-request.2\r\n"))
              .status == 200);
  const json again = record_of(live, "my-request.2");
  CHECK(again.at("cached_tokens") == 32);  // the whole blocks of 16
  CHECK(again.at("blocks_reused").at("memory") == 2);
  CHECK(again.at("ms_per_token").is_null());  // there was no second token
}

TEST_CASE("only the key that made a request is told of it") {
  LiveServer live;
  REQUIRE(live.service()
              .keys()
              .parse("ann:" + sha256_hex("k-ann") + "\nroot:" + sha256_hex("k-root") + ":admin\n",
                     "keys")
              .ok());
  const std::string ann = "Authorization: Bearer k-ann\r\n";
  REQUIRE(Client(live.port())
              .ask(completion({{"prompt", "a"}}, ann + "X-Request-Id: hers\r\n"))
              .status == 200);
  CHECK(record_of(live, "hers", ann).is_object());
  const Answer other =
      Client(live.port()).ask(get("/v1/requests/hers", "Authorization: Bearer k-root\r\n"));
  const Answer none = Client(live.port()).ask(get("/v1/requests/nobodys", ann));
  CHECK(other.status == 404);
  CHECK(other.body == none.body);
}

TEST_CASE("a client that left is told of as aborted") {
  LiveOptions options;
  options.step_delay = 2ms;
  LiveServer live(options);
  {
    Client client(live.port());
    client.send(completion({{"prompt", "a"}, {"max_tokens", 1500}, {"stream", true}},
                           "X-Request-Id: gone\r\n"));
    REQUIRE(client.read_until("\"text\""));
  }
  const json told = record_of(live, "gone");
  REQUIRE(told.is_object());
  CHECK(told.at("finish_reason") == "abort");
  CHECK(told.at("completion_tokens").get<int>() >= 1);
}

TEST_CASE("the ring keeps the newest, and of one id the newest") {
  RecentRequests recent;
  const auto add = [&recent](int number, const std::string& id) {
    RequestRecord record;
    record.id = id;
    record.answer_id = "cmpl-" + std::to_string(number);
    record.prompt_tokens = number;
    record.prompt = "not kept";
    recent.add(record);
  };
  add(0, "same");
  add(1, "same");
  CHECK(recent.find("same", "")->prompt_tokens == 1);
  CHECK(recent.find("same", "")->prompt.empty());
  CHECK_FALSE(recent.find("same", "ann").has_value());
  const int most = static_cast<int>(RecentRequests::kMaxRecent);
  for (int i = 2; i < 2 + most; ++i) add(i, "r-" + std::to_string(i));
  CHECK_FALSE(recent.find("same", "").has_value());
  for (int i = 2; i < 2 + most; ++i) {
    REQUIRE(recent.find("r-" + std::to_string(i), "")->prompt_tokens == i);
    REQUIRE(recent.find("cmpl-" + std::to_string(i), "")->prompt_tokens == i);
  }
}

}  // namespace
}  // namespace quire::server
