// /v1/completions over real sockets: what a stream says, how it ends, and what becomes of a request
// whose client goes, stalls or overstays.

#include "tests/server/live_server.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here
#include <nlohmann/json.hpp>
#include <thread>

namespace quire::server {
namespace {

using namespace std::chrono_literals;
using engine::testing::id_of;
using nlohmann::json;
using testing::Answer;
using testing::Client;
using testing::get;
using testing::LiveOptions;
using testing::LiveServer;
using testing::post;

std::string completion(const json& fields) { return post("/v1/completions", fields.dump()); }

// The choices of a stream, joined, with every rule of WIRE about its end checked.
struct Joined {
  std::vector<std::string> texts;
  std::vector<std::string> finish;
  std::vector<json> logprobs;
  json usage;
  std::size_t num_chunks = 0;
};

Joined join(const Answer& answer, std::size_t num_choices) {
  CHECK(answer.status == 200);
  CHECK(answer.field("content-type") == "text/event-stream");
  std::vector<std::string> events = answer.events();
  REQUIRE(!events.empty());
  CHECK(events.back() == "[DONE]");
  events.pop_back();
  Joined joined{.texts = std::vector<std::string>(num_choices),
                .finish = std::vector<std::string>(num_choices),
                .logprobs = std::vector<json>(num_choices, json::array()),
                .usage = nullptr};
  std::string id;
  for (const std::string& event : events) {
    const json chunk = json::parse(event);
    CHECK(chunk.at("object") == "text_completion");
    if (id.empty()) id = chunk.at("id");
    CHECK(chunk.at("id") == id);
    if (chunk.contains("usage")) joined.usage = chunk.at("usage");
    for (const json& choice : chunk.at("choices")) {
      ++joined.num_chunks;
      const auto index = choice.at("index").get<std::size_t>();
      REQUIRE(index < num_choices);
      CHECK(joined.finish[index].empty());  // nothing comes after the end
      joined.texts[index] += choice.at("text").get<std::string>();
      if (!choice.at("finish_reason").is_null()) joined.finish[index] = choice.at("finish_reason");
      joined.logprobs[index].push_back(choice.at("logprobs"));
    }
  }
  for (const std::string& finish : joined.finish) CHECK(!finish.empty());
  return joined;
}

json whole(LiveServer& live, json fields) {
  const Answer answer = Client(live.port()).ask(completion(fields));
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  return answer.json();
}

Joined streamed(LiveServer& live, json fields, std::size_t num_choices) {
  fields["stream"] = true;
  Client client(live.port());
  return join(client.ask(completion(fields)), num_choices);
}

TEST_CASE("an answer, whole and streamed, says the same") {
  LiveServer live;
  const json fields = {{"prompt", "xyz"}, {"max_tokens", 40}, {"seed", 7}};
  const json answer = whole(live, fields);
  const json choice = answer.at("choices").at(0);
  CHECK(choice.at("text") == "defghijklmnopqrstuvwxyzabcdefghijklmnopq");
  CHECK(choice.at("finish_reason") == "length");
  CHECK(answer.at("usage").at("prompt_tokens") == 3);
  CHECK(answer.at("usage").at("completion_tokens") == 40);
  CHECK(answer.at("seed") == 7);
  CHECK(answer.at("system_fingerprint") == "fp_fake");
  const Joined stream = streamed(live, fields, 1);
  CHECK(stream.texts[0] == choice.at("text"));
  CHECK(stream.usage.is_null());
}

TEST_CASE("defaults: sixteen tokens, a seed of the daemon's, the rest of the context") {
  LiveServer live;
  const json answer = whole(live, {{"prompt", "a"}});
  CHECK(answer.at("usage").at("completion_tokens") == 16);
  CHECK(answer.at("seed").is_number_integer());
  const json near_end = whole(live, {{"prompt", std::string(2040, 'a')}});
  CHECK(near_end.at("usage").at("completion_tokens") == 8);
  const json seeds[] = {answer.at("seed"), near_end.at("seed")};
  CHECK(seeds[0] != seeds[1]);
}

TEST_CASE("beyond the context: both numbers are named") {
  LiveServer live;
  Client client(live.port());
  for (const json& fields :
       {json{{"prompt", "abc"}, {"max_tokens", 2046}}, json{{"prompt", std::string(2048, 'a')}},
        json{{"prompt", std::string(5000, 'a')}, {"max_tokens", 1}}}) {
    const Answer answer = client.ask(completion(fields));
    CHECK(answer.status == 400);
    const std::string message = answer.json().at("error").at("message");
    CHECK(message.find("2048") != std::string::npos);
    CHECK(message.find(std::to_string(fields.at("prompt").get<std::string>().size())) !=
          std::string::npos);
  }
}

TEST_CASE("several prompts and choices") {
  LiveServer live;
  const json fields = {{"prompt", {"a", "xyz"}}, {"n", 2}, {"max_tokens", 3}};
  const json answer = whole(live, fields);
  REQUIRE(answer.at("choices").size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(answer.at("choices").at(i).at("index") == i);
    CHECK(answer.at("choices").at(i).at("text") == (i < 2 ? "bcd" : "def"));
  }
  CHECK(answer.at("usage").at("prompt_tokens") == 4);  // each prompt once
  CHECK(answer.at("usage").at("completion_tokens") == 12);
  const Joined stream = streamed(live, fields, 4);
  CHECK(stream.texts == std::vector<std::string>{"bcd", "bcd", "def", "def"});
}

TEST_CASE("token prompts, stop strings and end tokens") {
  LiveServer live;
  CHECK(whole(live, {{"prompt", {id_of('x'), id_of('y')}}, {"max_tokens", 2}})
            .at("choices")
            .at(0)
            .at("text") == "cd");
  const json stopped = whole(live, {{"prompt", "a"}, {"max_tokens", 30}, {"stop", {"zz", "gh"}}})
                           .at("choices")
                           .at(0);
  CHECK(stopped.at("text") == "bcdef");
  CHECK(stopped.at("finish_reason") == "stop");
  CHECK(stopped.at("stop_reason") == "gh");
  const Joined stream = streamed(live, {{"prompt", "a"}, {"max_tokens", 30}, {"stop", "gh"}}, 1);
  CHECK(stream.texts[0] == "bcdef");
  CHECK(stream.finish[0] == "stop");
}

TEST_CASE("a stream never splits a character") {
  LiveOptions options;
  options.script = [](std::span<const TokenId> history) {
    return history.back() == engine::testing::kFirstHalf ? engine::testing::kSecondHalf
                                                         : engine::testing::kFirstHalf;
  };
  LiveServer live(options);
  const Joined stream = streamed(live, {{"prompt", "a"}, {"max_tokens", 41}}, 1);
  std::string expected;
  for (int i = 0; i < 20; ++i) expected += "\xC3\xA9";
  CHECK(stream.texts[0] == expected + "\xEF\xBF\xBD");  // the last half alone
}

TEST_CASE("usage in a stream") {
  LiveServer live;
  const json fields = {{"prompt", "abc"}, {"max_tokens", 5}};
  json with = fields;
  with["stream_options"] = {{"include_usage", true}};
  const json usage = streamed(live, with, 1).usage;
  CHECK(usage.at("prompt_tokens") == 3);
  CHECK(usage.at("completion_tokens") == 5);
  with["stream_options"] = {{"include_usage", true}, {"continuous_usage_stats", true}};
  CHECK(streamed(live, with, 1).usage == usage);
}

TEST_CASE("echo comes once, before the text") {
  LiveServer live;
  const json fields = {{"prompt", {"ab", "xyz"}}, {"n", 2}, {"max_tokens", 2}, {"echo", true}};
  const json answer = whole(live, fields);
  CHECK(answer.at("choices").at(0).at("text") == "abcd");
  CHECK(answer.at("choices").at(3).at("text") == "xyzde");
  CHECK(streamed(live, fields, 4).texts ==
        std::vector<std::string>{"abcd", "abcd", "xyzde", "xyzde"});
  const json tokens = {
      {"prompt", {id_of('q'), id_of('r')}}, {"max_tokens", 0}, {"echo", true}, {"n", 1}};
  const json scored = whole(live, tokens);
  CHECK(scored.at("choices").at(0).at("text") == "qr");
  CHECK(scored.at("usage").at("completion_tokens") == 0);
  CHECK(streamed(live, tokens, 1).texts[0] == "qr");
}

TEST_CASE("logprobs: tokens, offsets, alternatives, and the prompt's under echo") {
  LiveServer live;
  const json fields = {{"prompt", "ab"}, {"max_tokens", 3}, {"logprobs", 2}, {"echo", true}};
  const json logprobs = whole(live, fields).at("choices").at(0).at("logprobs");
  CHECK(logprobs.at("tokens") == json({"a", "b", "c", "d", "e"}));
  CHECK(logprobs.at("text_offset") == json({0, 1, 2, 3, 4}));
  CHECK(logprobs.at("token_logprobs").at(0).is_null());
  CHECK(logprobs.at("top_logprobs").at(0).is_null());
  for (int i = 1; i < 5; ++i) {
    CHECK(logprobs.at("token_logprobs").at(i) == -0.5);
    CHECK(logprobs.at("top_logprobs").at(i).size() == 2);
    CHECK(logprobs.at("top_logprobs").at(i).contains(logprobs.at("tokens").at(i)));
  }
  json joined_tokens = json::array();
  json joined_offsets = json::array();
  const Joined stream = streamed(live, fields, 1);
  for (const json& part : stream.logprobs[0]) {
    for (const json& token : part.at("tokens")) joined_tokens.push_back(token);
    for (const json& offset : part.at("text_offset")) joined_offsets.push_back(offset);
  }
  CHECK(joined_tokens == logprobs.at("tokens"));
  CHECK(joined_offsets == logprobs.at("text_offset"));
  const json plain = whole(live, {{"prompt", "ab"}, {"max_tokens", 2}, {"logprobs", 0}});
  CHECK(plain.at("choices").at(0).at("logprobs").at("text_offset") == json({0, 1}));
  // The chosen token is always among the best, here alone.
  CHECK(plain.at("choices").at(0).at("logprobs").at("top_logprobs").at(0).size() == 1);
}

TEST_CASE("logprob offsets count characters") {
  LiveOptions options;
  options.script = [](std::span<const TokenId> history) {
    return history.size() % 2 == 0 ? engine::testing::kFirstHalf : engine::testing::kSecondHalf;
  };
  LiveServer live(options);
  const json answer =
      whole(live, {{"prompt", "ab"}, {"max_tokens", 4}, {"logprobs", 1}, {"echo", true}});
  CHECK(answer.at("choices").at(0).at("text") == "ab\xC3\xA9\xC3\xA9");
  CHECK(answer.at("choices").at(0).at("logprobs").at("text_offset") == json({0, 1, 2, 3, 3, 4}));
}

TEST_CASE("a wrong model is 404, bad fields are 400, and nothing of them is echoed") {
  LiveServer live;
  Client client(live.port());
  const Answer model = client.ask(completion({{"prompt", "a"}, {"model", "s3cret-name"}}));
  CHECK(model.status == 404);
  CHECK(model.json().at("error").at("code") == "model_not_found");
  CHECK(model.body.find("s3cret") == std::string::npos);
  for (const json& fields : {json{{"prompt", "a"}, {"n", 9}}, json{{"prompt", ""}}, json::object(),
                             json{{"prompt", "a"}, {"max_tokens", 3}, {"min_tokens", 4}},
                             json{{"prompt", "a"}, {"min_tokens", 17}}, json{{"prompt", {98}}},
                             json{{"prompt", {-1}}}, json{{"prompt", "a"}, {"stream", "s3cret"}}}) {
    const Answer answer = client.ask(completion(fields));
    INFO(fields.dump());
    CHECK(answer.status == 400);
    CHECK(answer.json().at("error").at("param").is_string());
    CHECK(answer.body.size() <= 1024);
    CHECK(answer.body.find("s3cret") == std::string::npos);
  }
}

TEST_CASE("long bodies go through the work pool") {
  LiveOptions options;
  options.service.inline_body_bytes = 100;
  LiveServer live(options);
  const std::string prompt(1500, 'b');
  const json answer = whole(live, {{"prompt", prompt}, {"max_tokens", 3}, {"echo", true}});
  CHECK(answer.at("choices").at(0).at("text").get<std::string>().size() == 1503);
  CHECK(streamed(live, {{"prompt", prompt}, {"max_tokens", 3}}, 1).texts[0].size() == 3);
  Client client(live.port());
  CHECK(client.ask(completion({{"prompt", std::string(3000, 'b')}})).status == 400);
  CHECK(live.wait_idle());
}

// A request that would go on for long, in a given state when its client leaves.
struct Leaving {
  std::string name;
  bool stream;
  bool queued;  // behind another
  bool long_body;
};

TEST_CASE("a client that leaves frees its place, in every state") {
  LiveOptions options;
  options.step_delay = 1ms;
  options.engine.scheduler.max_num_seqs = 2;
  options.service.inline_body_bytes = 200;
  LiveServer live(options);
  const Leaving cases[] = {{"streaming", true, false, false},
                           {"collecting", false, false, false},
                           {"queued, streaming", true, true, false},
                           {"queued, collecting", false, true, false},
                           {"long prompt", true, false, true}};
  for (const Leaving& leaving : cases) {
    for (const int way : {0, 1, 2}) {  // close, reset, half-close
      INFO(leaving.name << " " << way);
      std::vector<std::unique_ptr<Client>> clients;
      const std::size_t count = leaving.queued ? 6 : 2;
      for (std::size_t i = 0; i < count; ++i) {
        clients.push_back(std::make_unique<Client>(live.port()));
        clients.back()->send(completion({{"prompt", std::string(leaving.long_body ? 600 : 1, 'a')},
                                         {"max_tokens", 1400},
                                         {"stream", leaving.stream}}));
      }
      if (leaving.stream) CHECK(clients.front()->read_until("data: "));
      while (!leaving.stream && live.engine().status().running == 0) {
        std::this_thread::sleep_for(1ms);
      }
      for (auto& client : clients) {
        if (way == 1) client->reset();
        if (way == 2) client->close_write();
        if (way == 0) client.reset();
      }
      CHECK(live.wait_idle());  // 1,400 steps of 1 ms have not passed
    }
  }
  const engine::EngineStatus status = live.engine().status();
  CHECK(status.requests_aborted > 0);
  CHECK(status.free_blocks == status.total_blocks);
}

TEST_CASE("a server that goes down waits for the prompt that its work pool reads") {
  LiveOptions options;
  options.service.inline_body_bytes = 1;
  LiveServer live(options);
  Client client(live.port());
  CHECK(client.send(completion({{"prompt", std::string(1000000, 'a')}})));
  while (live.service().in_flight() == 0) std::this_thread::yield();
}  // the engine and its tokenizer go here

TEST_CASE("a client that does not read holds up nobody, and is ended") {
  LiveOptions options;
  options.service.http.write_stall_timeout = 300ms;
  options.engine.scheduler.max_model_len = 60000;
  LiveServer live(options);
  Client stalled(live.port(), 4096);
  stalled.send(
      completion({{"prompt", "a"}, {"max_tokens", 50000}, {"stream", true}, {"logprobs", 20}}));
  CHECK(streamed(live, {{"prompt", "a"}, {"max_tokens", 100}}, 1).texts[0].size() == 100);
  CHECK(live.wait_idle());  // the stalled one was ended by the write timeout
  CHECK(live.engine().status().requests_aborted == 1);
}

TEST_CASE("a slow reader gets every character") {
  LiveOptions options;
  options.engine.scheduler.max_model_len = 20000;
  LiveServer live(options);
  Client slow(live.port(), 4096);
  slow.send(completion({{"prompt", "a"}, {"max_tokens", 15000}, {"stream", true}}));
  std::this_thread::sleep_for(100ms);
  const Joined joined = join(slow.read_answer(), 1);
  CHECK(joined.texts[0].size() == 15000);
  CHECK(joined.num_chunks < 15000);  // tokens that came while it was behind share chunks
}

TEST_CASE("a full queue is 429 with Retry-After") {
  LiveOptions options;
  options.step_delay = 1ms;
  options.engine.scheduler.max_num_seqs = 1;
  options.engine.scheduler.max_queue_len = 1;
  LiveServer live(options);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(std::make_unique<Client>(live.port()));
    clients.back()->send(completion({{"prompt", "a"}, {"max_tokens", 1500}, {"stream", true}}));
    CHECK(clients.back()->read_until("text/event-stream"));
  }
  const Answer refused = Client(live.port()).ask(completion({{"prompt", "a"}}));
  CHECK(refused.status == 429);
  CHECK(refused.json().at("error").at("type") == "rate_limit_error");
  CHECK(std::stoi(refused.field("retry-after")) >= 1);
}

TEST_CASE("a stream without output is kept awake by comments") {
  LiveOptions options;
  options.step_delay = 150ms;
  options.service.http.ping_interval = 20ms;
  LiveServer live(options);
  Client client(live.port());
  const Answer answer =
      client.ask(completion({{"prompt", "a"}, {"max_tokens", 2}, {"stream", true}}));
  CHECK(answer.body.find(": ping\n\n") != std::string::npos);
  CHECK(join(answer, 1).texts[0] == "bc");
}

TEST_CASE("draining: those in flight finish, new ones get 503, the open routes answer") {
  LiveOptions options;
  options.step_delay = 2ms;
  LiveServer live(options);
  Client stream(live.port());
  stream.send(completion({{"prompt", "a"}, {"max_tokens", 60}, {"stream", true}}));
  CHECK(stream.read_until("data: "));
  Client kept(live.port());
  CHECK(kept.ask(get("/health")).status == 200);
  live.service().set_phase(Service::Phase::kDraining);
  live.engine().begin_drain();
  CHECK(Client(live.port()).ask(get("/livez")).status == 200);
  CHECK(Client(live.port()).ask(get("/health")).status == 503);
  const Answer refused = kept.ask(completion({{"prompt", "a"}}));
  CHECK(refused.status == 503);
  CHECK(refused.field("connection") == "close");
  CHECK(!refused.field("retry-after").empty());
  CHECK(join(stream.read_answer(), 1).texts[0].size() == 60);
  CHECK(live.service().wait_idle(std::chrono::steady_clock::now() + 120s));
}

TEST_CASE("the end of the drain: streams end with an error and DONE") {
  LiveOptions options;
  options.step_delay = 2ms;
  LiveServer live(options);
  Client stream(live.port());
  stream.send(completion({{"prompt", "a"}, {"max_tokens", 1500}, {"stream", true}}));
  Client collected(live.port());
  collected.send(completion({{"prompt", "a"}, {"max_tokens", 1500}}));
  CHECK(stream.read_until("data: "));
  while (live.engine().status().running < 2) std::this_thread::sleep_for(1ms);
  live.service().set_phase(Service::Phase::kDraining);
  live.service().begin_abort();
  live.engine().stop();
  const std::vector<std::string> events = stream.read_answer().events();
  REQUIRE(events.size() >= 2);
  CHECK(events.back() == "[DONE]");
  CHECK(json::parse(events[events.size() - 2]).contains("error"));
  CHECK(collected.read_answer().status == 503);
}

TEST_CASE("the engine fails: streams end with an error, health is 503") {
  LiveOptions options;
  options.step_delay = 2ms;
  LiveServer live(options);
  Client stream(live.port());
  stream.send(completion({{"prompt", "a"}, {"max_tokens", 1500}, {"stream", true}}));
  Client collected(live.port());
  collected.send(completion({{"prompt", "a"}, {"max_tokens", 1500}}));
  CHECK(stream.read_until("data: "));
  while (live.engine().status().running < 2) std::this_thread::sleep_for(1ms);
  live.executor().fail = true;
  const std::vector<std::string> events = stream.read_answer().events();
  CHECK(events.back() == "[DONE]");
  CHECK(json::parse(events[events.size() - 2]).at("error").at("type") == "server_error");
  CHECK(collected.read_answer().status == 500);
  CHECK(Client(live.port()).ask(get("/health")).status == 503);
  CHECK(Client(live.port()).ask(completion({{"prompt", "a"}})).status == 503);
}

TEST_CASE("three hundred streams at once, on two I/O threads") {
  LiveOptions options;
  options.listener.io_threads = 2;
  LiveServer live(options);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 300; ++i) {
    clients.push_back(std::make_unique<Client>(live.port()));
    clients.back()->send(completion(
        {{"prompt", std::string(1 + i % 20, 'a')}, {"max_tokens", 50 + i % 7}, {"stream", true}}));
  }
  for (int i = 0; i < 300; ++i) {
    const Joined joined = join(clients[i]->read_answer(), 1);
    CHECK(joined.texts[0].size() == 50u + i % 7);
    CHECK(joined.texts[0].front() == 'a' + (1 + i % 20) % 26);
  }
  CHECK(live.wait_idle());
}

}  // namespace
}  // namespace quire::server
