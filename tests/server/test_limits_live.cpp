// What one client may do: deadlines of its own, requests of one key, wrong keys and connections of
// one address.

#include "server/address_limits.h"
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

std::string timeout(const std::string& ms) { return "x-request-timeout-ms: " + ms + "\r\n"; }

TEST_CASE("a deadline that is none is 400 and names the field") {
  LiveServer live;
  for (const char* bad : {"0", "-1", "1.5", "1e3", "soon", "86400001", "99999999999999999999"}) {
    INFO(bad);
    const Answer answer = Client(live.port()).ask(completion({{"prompt", "a"}}, timeout(bad)));
    CHECK(answer.status == 400);
    CHECK(answer.json().at("error").at("param") == "x-request-timeout-ms");
  }
  CHECK(Client(live.port()).ask(completion({{"prompt", "a"}}, timeout("60000"))).status == 200);
}

TEST_CASE("a request that is not done by its deadline ends, streaming or not") {
  LiveOptions options;
  options.step_delay = 5ms;
  LiveServer live(options);
  const json body = {{"prompt", "a"}, {"max_tokens", 1500}};
  const Answer whole = Client(live.port()).ask(completion(body, timeout("100")));
  CHECK(whole.status == 503);
  CHECK_FALSE(whole.field("retry-after").empty());
  json streamed = body;
  streamed["stream"] = true;
  const auto events = Client(live.port()).ask(completion(streamed, timeout("100"))).events();
  REQUIRE(events.size() >= 2);
  CHECK(events.back() == "[DONE]");
  CHECK(json::parse(events[events.size() - 2]).at("error").at("type") == "server_error");
  CHECK(live.wait_idle());
}

TEST_CASE("a deadline shorter than the measured wait is refused at once") {
  LiveOptions options;
  options.step_delay = 5ms;
  options.engine.scheduler.max_num_seqs = 1;
  LiveServer live(options);
  // Until the output rate was measured.
  const json one = {{"prompt", "a"}, {"max_tokens", 200}};
  const json longer = {{"prompt", "a"}, {"max_tokens", 800}};  // than the window of the rate, 2 s
  while (live.engine().status().tokens_per_second <= 0.0) {
    REQUIRE(Client(live.port()).ask(completion(longer)).status == 200);
  }
  // The client may have its answer before the engine has counted it.
  while (live.engine().status().requests_finished == 0) std::this_thread::sleep_for(1ms);
  std::vector<std::unique_ptr<Client>> crowd;
  for (int i = 0; i < 5; ++i) {
    crowd.push_back(std::make_unique<Client>(live.port()));
    crowd.back()->send(completion({{"prompt", "a"}, {"max_tokens", 1500}, {"stream", true}}));
    REQUIRE(crowd.back()->read_until("text/event-stream"));
  }
  while (live.engine().status().waiting < 4) std::this_thread::sleep_for(1ms);
  // Each waits for some 200 tokens of at least 5 ms.
  REQUIRE(live.service().expected_wait() > 1s);
  const std::int64_t accepted = live.engine().status().requests_accepted;
  const Answer refused = Client(live.port()).ask(completion(one, timeout("500")));
  CHECK(refused.status == 429);
  CHECK(refused.json().at("error").at("type") == "rate_limit_error");
  CHECK(std::stoi(refused.field("retry-after")) >= 1);
  CHECK(live.engine().status().requests_accepted == accepted);
}

TEST_CASE("requests of one key have a limit of their own") {
  LiveOptions options;
  options.step_delay = 2ms;
  options.service.max_concurrent_per_key = 2;
  LiveServer live(options);
  REQUIRE(live.service()
              .keys()
              .parse("ann:" + sha256_hex("k-ann") + "\nbob:" + sha256_hex("k-bob") + "\n", "keys")
              .ok());
  const std::string ann = "Authorization: Bearer k-ann\r\n";
  const std::string bob = "Authorization: Bearer k-bob\r\n";
  const json small = {{"prompt", "a"}, {"max_tokens", 1}};
  {
    std::vector<std::unique_ptr<Client>> streams;
    for (int i = 0; i < 2; ++i) {
      streams.push_back(std::make_unique<Client>(live.port()));
      streams.back()->send(
          completion({{"prompt", "a"}, {"max_tokens", 1500}, {"stream", true}}, ann));
      REQUIRE(streams.back()->read_until("text/event-stream"));
    }
    const Answer refused = Client(live.port()).ask(completion(small, ann));
    CHECK(refused.status == 429);
    CHECK(refused.json().at("error").at("type") == "rate_limit_error");
    CHECK(std::stoi(refused.field("retry-after")) >= 1);
    CHECK(Client(live.port()).ask(completion(small, bob)).status == 200);
    CHECK(Client(live.port()).ask(get("/v1/models", ann)).status == 200);
  }
  CHECK(live.wait_idle());  // both left
  for (int i = 0; i < 5; ++i) {
    CHECK(Client(live.port()).ask(completion(small, ann)).status == 200);
  }
}

TEST_CASE("a key's flood of the queue leaves room for others, without others it may fill it") {
  LiveOptions options;
  options.step_delay = 2ms;
  options.engine.scheduler.max_num_seqs = 2;
  options.engine.scheduler.max_queue_len = 6;  // 8 places
  LiveServer live(options);
  const std::string ann = "ann:" + sha256_hex("k-ann") + "\n";
  const auto flood = [&live](const std::string& name) {
    const std::string field = "Authorization: Bearer k-" + name + "\r\n";
    std::vector<std::unique_ptr<Client>> streams;
    while (true) {
      streams.push_back(std::make_unique<Client>(live.port()));
      const json body = {{"prompt", "a"}, {"max_tokens", 1500}, {"stream", true}};
      streams.back()->send(completion(body, field));
      REQUIRE(streams.back()->read_until("\r\n"));
      if (!streams.back()->buffered().starts_with("HTTP/1.1 200")) break;
    }
    CHECK(streams.back()->buffered().starts_with("HTTP/1.1 429"));
    streams.pop_back();
    return streams;
  };
  REQUIRE(live.service().keys().parse(ann, "keys").ok());
  CHECK(flood("ann").size() == 8);
  REQUIRE(live.wait_idle());
  REQUIRE(live.service().keys().parse(ann + "bob:" + sha256_hex("k-bob") + "\n", "keys").ok());
  {
    const auto of_ann = flood("ann");
    CHECK(of_ann.size() == 4);        // of 8: as many as are free
    CHECK(flood("bob").size() == 2);  // of the 4 left
  }
  REQUIRE(live.wait_idle());
  CHECK(flood("bob").size() == 4);
  CHECK(live.wait_idle());
}

TEST_CASE("shares of the queue: as much as is free, given back, and never nothing") {
  QueueShares shares;
  auto first = shares.take("a", 3, 8);
  REQUIRE(first);
  CHECK_FALSE(shares.take("a", 3, 8));  // 6 of 5 free
  auto second = shares.take("a", 2, 8);
  REQUIRE(second);
  auto other = shares.take("b", 5, 8);  // its first: the engine says whether there is room
  REQUIRE(other);
  CHECK_FALSE(shares.take("b", 1, 8));
  *first = QueueShares::Share();  // given back with what it was swapped into
  second->give_back();
  second->give_back();
  other.reset();
  CHECK(shares.take("a", 8, 8));
}

TEST_CASE("wrong keys of one address are told to wait, a right one is served all the same") {
  LiveOptions options;
  options.service.max_failed_keys = 3;
  LiveServer live(options);
  REQUIRE(live.service().keys().parse("ann:" + sha256_hex("k-ann") + "\n", "keys").ok());
  Client client(live.port());
  for (int i = 0; i < 3; ++i) CHECK(client.ask(get("/v1/models")).status == 401);
  const Answer refused = client.ask(get("/v1/models", "Authorization: Bearer k-bob\r\n"));
  CHECK(refused.status == 429);
  CHECK(std::stoi(refused.field("retry-after")) >= 1);
  CHECK(client.at_end());
  CHECK(Client(live.port()).ask(get("/v1/models", "Authorization: Bearer k-ann\r\n")).status ==
        200);
  CHECK(Client(live.port()).ask(get("/livez")).status == 200);
}

TEST_CASE("a frozen engine is not healthy, one that works at a long step is") {
  LiveOptions options;
  options.service.max_heartbeat_age = 3s;  // a busy machine may hold a thread up for one
  LiveServer live(options);
  const auto health = [&live] { return Client(live.port()).ask(get("/health")).status; };
  CHECK(health() == 200);
  std::this_thread::sleep_for(3200ms);
  CHECK(health() == 200);  // idle

  live.executor().units = 700;  // of 5 ms: a step of three and a half seconds and more
  Client busy(live.port());
  busy.send(completion({{"prompt", "a"}, {"max_tokens", 1}}));
  const std::int64_t steps = live.engine().status().num_steps;
  int asked = 0;
  while (live.engine().status().num_steps == steps) {
    CHECK(health() == 200);
    ++asked;
    std::this_thread::sleep_for(20ms);
  }
  CHECK(asked > 10);
  CHECK(busy.read_answer().status == 200);

  live.executor().units = 0;
  live.executor().frozen = true;
  busy.send(completion({{"prompt", "a"}, {"max_tokens", 1}}));
  const auto becomes = [&health](int status) {
    const auto since = std::chrono::steady_clock::now();
    while (health() != status && std::chrono::steady_clock::now() - since < 120s) {
      std::this_thread::sleep_for(5ms);
    }
    return health() == status;
  };
  CHECK(becomes(503));
  CHECK(Client(live.port()).ask(get("/livez")).status == 200);
  live.executor().frozen = false;
  CHECK(busy.read_answer().status == 200);
  CHECK(becomes(200));  // with the next beat, or once the loop rests
}

PeerAddress address(std::uint8_t a, std::uint8_t b) {
  return {.bytes = {255, 255, 255, 255, 10, 0, a, b}, .loopback = false};
}

TEST_CASE("failed keys: windows end, and only so many addresses are remembered") {
  FailedKeys failed(2);
  const FailedKeys::Clock::time_point start{1h};
  CHECK_FALSE(failed.note(address(0, 1), start));
  CHECK_FALSE(failed.note(address(0, 1), start));
  CHECK(failed.note(address(0, 1), start + 1s));
  CHECK(failed.seconds_left(address(0, 1), start + 1s) == 59);
  CHECK_FALSE(failed.note(address(0, 2), start + 1s));
  CHECK_FALSE(failed.note(address(0, 1), start + FailedKeys::kWindow));
  for (int i = 0; i < 3 * static_cast<int>(FailedKeys::kMaxAddresses); ++i) {
    const auto step = std::chrono::milliseconds(i);
    (void)failed.note(address(static_cast<std::uint8_t>(i / 256), static_cast<std::uint8_t>(i)),
                      start + 1h + step);
    REQUIRE(failed.num_addresses() <= FailedKeys::kMaxAddresses);
  }
}

TEST_CASE("connections of one address have a limit of their own") {
  LiveOptions options;
  options.listener.max_connections_per_address = 4;
  LiveServer live(options);
  {
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 4; ++i) {
      clients.push_back(std::make_unique<Client>(live.port()));
      CHECK(clients.back()->ask(get("/livez")).status == 200);
    }
    Client late(live.port());
    const Answer refused = late.ask(get("/livez"));
    CHECK(refused.status == 429);
    CHECK_FALSE(refused.field("retry-after").empty());
    CHECK(late.at_end());
  }
  while (live.server().num_connections() > 0) std::this_thread::sleep_for(1ms);
  CHECK(Client(live.port()).ask(get("/livez")).status == 200);
}

TEST_CASE("addresses are counted one by one, and forgotten when they are gone") {
  AddressConnections counts;
  CHECK(counts.add(address(0, 1)) == 1);
  CHECK(counts.add(address(0, 1)) == 2);
  CHECK(counts.add(address(0, 2)) == 1);
  counts.remove(address(0, 1));
  CHECK(counts.add(address(0, 1)) == 2);
}

TEST_CASE("a server may have room for one connection alone") {
  LiveOptions options;
  options.listener.max_connections = 1;
  LiveServer live(options);
  CHECK(live.server().max_connections() == 1);
  Client first(live.port());
  CHECK(first.ask(get("/livez")).status == 200);
  CHECK(Client(live.port()).ask(get("/livez")).status == 503);
}

TEST_CASE("a port that is taken is told by the name of its setting") {
  LiveServer live;
  ListenerOptions options;
  options.port = live.port();
  options.port_flag = "--metrics-port";
  CHECK_THROWS_WITH(HttpServer(options, live.service()),
                    Catch::StartsWith("--metrics-port: cannot listen on "));
}

TEST_CASE("an answer under way is not charged with its body") {
  LiveOptions options;
  options.step_delay = 2ms;
  LiveServer live(options);
  Client client(live.port());
  client.send(completion({{"prompt", "a"}, {"max_tokens", 1500}, {"stream", true}}));
  REQUIRE(client.read_until("data: "));
  CHECK(live.service().bodies().used() == 0);
}

TEST_CASE("only an admin key may overtake others") {
  LiveServer live;
  const json eager = {{"prompt", "a"}, {"max_tokens", 1}, {"priority", -1}};
  const json patient = {{"prompt", "a"}, {"max_tokens", 1}, {"priority", 5}};
  CHECK(Client(live.port()).ask(completion(eager)).status == 200);  // no keys: all are alike
  REQUIRE(
      live.service()
          .keys()
          .parse("ann:" + sha256_hex("k-ann") + "\nops:" + sha256_hex("k-ops") + ":admin\n", "keys")
          .ok());
  const std::string ann = "Authorization: Bearer k-ann\r\n";
  const std::string ops = "Authorization: Bearer k-ops\r\n";
  const Answer refused = Client(live.port()).ask(completion(eager, ann));
  CHECK(refused.status == 400);
  CHECK(refused.json().at("error").at("param") == "priority");
  CHECK(refused.json().at("error").at("type") == "invalid_request_error");
  CHECK(Client(live.port()).ask(completion(patient, ann)).status == 200);
  CHECK(Client(live.port()).ask(completion(eager, ops)).status == 200);
}

TEST_CASE("more sequences than ever fit are 400, and not told to retry") {
  LiveOptions options;
  options.engine.scheduler.max_num_seqs = 1;
  options.engine.scheduler.max_queue_len = 3;
  LiveServer live(options);
  const auto param = [&live](json body) {
    body["max_tokens"] = 1;
    const Answer answer = Client(live.port()).ask(completion(body));
    if (answer.status == 200) return std::string("taken");
    CHECK(answer.status == 400);
    return answer.json().at("error").at("param").get<std::string>();
  };
  const json four = {"a", "b", "c", "d"};
  const json five = {"a", "b", "c", "d", "e"};
  CHECK(param({{"prompt", four}}) == "taken");
  CHECK(param({{"prompt", five}}) == "prompt");
  CHECK(param({{"prompt", "a"}, {"n", 5}}) == "n");
  CHECK(param({{"prompt", "a"}, {"best_of", 5}}) == "best_of");
}

TEST_CASE("an answer with many logprobs comes in pieces, whole in the end") {
  LiveServer live;
  const json body = {{"prompt", std::string(1000, 'a')},
                     {"max_tokens", 20},
                     {"logprobs", 20},
                     {"echo", true},
                     {"n", 4}};
  Client client(live.port());
  const Answer large = client.ask(completion(body));
  CHECK(large.status == 200);
  CHECK(large.field("content-type") == "application/json");
  CHECK(large.field("transfer-encoding") == "chunked");
  CHECK(large.json().at("choices").size() == 4);
  CHECK(large.json().at("choices")[3].at("logprobs").at("tokens").size() == 1020);
  CHECK(large.json().at("usage").at("completion_tokens") == 80);
  const Answer small = client.ask(completion({{"prompt", "a"}, {"logprobs", 1}}));
  CHECK(small.field("content-length") == std::to_string(small.body.size()));
  // HTTP/1.0 has no chunks: the connection ends the body.
  std::string old = completion(body);
  old.replace(old.find("HTTP/1.1"), 8, "HTTP/1.0");
  const Answer closed = Client(live.port()).ask(old);
  CHECK(closed.json().at("choices").size() == 4);
}

TEST_CASE("what an unstreamed answer keeps is bounded, and the refusal names the field") {
  LiveOptions options;
  options.service.max_kept_logprobs = 2 * 3 * (5 + 10) * 3;
  LiveServer live(options);
  const auto ask = [&live](json fields) {
    const json body = {
        {"prompt", {"aaaaa", "bbbbb"}}, {"n", 3}, {"max_tokens", 10}, {"echo", true}};
    fields.update(body);
    return Client(live.port()).ask(completion(fields));
  };
  CHECK(ask({{"logprobs", 2}}).status == 200);
  const Answer refused = ask({{"logprobs", 3}});
  CHECK(refused.status == 400);
  CHECK(refused.json().at("error").at("param") == "logprobs");
  CHECK(ask({{"logprobs", 3}, {"stream", true}}).status == 200);
  CHECK(ask(json::object()).status == 200);
}

}  // namespace
}  // namespace quire::server
