// /v1/chat/completions over the fake engine, on a live socket.

#include <nlohmann/json.hpp>

#include "tests/server/live_server.h"

#include <catch2/catch.hpp>  // after ours: its CHECK is the one meant here

namespace quire::server {
namespace {

using nlohmann::json;
using testing::Answer;
using testing::Client;
using testing::LiveServer;
using testing::post;

// Before any request is made.
void use_template(LiveServer& live, std::string_view source) {
  Result<engine::ChatTemplate> parsed = engine::ChatTemplate::parse(source, {});
  REQUIRE(parsed.ok());
  live.service().set_chat_template(std::move(*parsed));
}

Answer chat(LiveServer& live, json fields) {
  if (!fields.contains("messages")) {
    fields["messages"] = json::array({{{"role", "user"}, {"content", "xyz"}}});
  }
  return Client(live.port()).ask(post("/v1/chat/completions", fields.dump()));
}

TEST_CASE("a model without a chat template answers 400") {
  LiveServer live;
  const Answer answer = chat(live, json::object());
  CHECK(answer.status == 400);
  CHECK(answer.json().at("error").at("code") == "unsupported_parameter");
  CHECK(answer.json().at("error").at("param") == "messages");
}

TEST_CASE("a chat, whole and streamed, says the same") {
  LiveServer live;
  use_template(live, "{% for m in messages %}{{ m.content }}{% endfor %}");
  const json fields = {{"max_tokens", 40}, {"seed", 7}, {"n", 2}};
  const json answer = chat(live, fields).json();
  CHECK(answer.at("object") == "chat.completion");
  CHECK(answer.at("usage").at("prompt_tokens") == 3);
  CHECK(answer.at("usage").at("completion_tokens") == 80);
  const std::string text = "defghijklmnopqrstuvwxyzabcdefghijklmnopq";
  for (const json& choice : answer.at("choices")) {
    CHECK(choice.at("message").at("content") == text);
    CHECK(choice.at("finish_reason") == "length");
  }
  json streaming = fields;
  streaming["stream"] = true;
  std::vector<std::string> events = chat(live, streaming).events();
  REQUIRE(!events.empty());
  CHECK(events.back() == "[DONE]");
  events.pop_back();
  std::vector<std::string> texts(2);
  std::vector<int> roles(2, 0);
  std::vector<int> ends(2, 0);
  for (const std::string& event : events) {
    const json choice = json::parse(event).at("choices").at(0);
    const auto index = choice.at("index").get<std::size_t>();
    CHECK(ends[index] == 0);
    const json& delta = choice.at("delta");
    if (delta.contains("role")) {
      CHECK(texts[index].empty());
      ++roles[index];
    }
    texts[index] += delta.value("content", "");
    if (choice.at("finish_reason").is_null()) continue;
    CHECK(delta.empty());
    ++ends[index];
  }
  CHECK(texts == std::vector<std::string>{text, text});
  CHECK(roles == std::vector<int>{1, 1});
  CHECK(ends == std::vector<int>{1, 1});
}

TEST_CASE("a template that knows no parts gets one text, and the other way round") {
  const json parts = json::array({{{"role", "user"},
                                   {"content", json::array({{{"type", "text"}, {"text", "ab"}},
                                                            {{"type", "text"}, {"text", "c"}}})}}});
  LiveServer text_only;
  use_template(text_only, "{{ messages[0].content|replace('\n', '')|trim }}");
  CHECK(chat(text_only, {{"messages", parts}, {"max_tokens", 1}})
            .json()
            .at("usage")
            .at("prompt_tokens") == 3);
  LiveServer parts_only;
  use_template(parts_only, "{% for p in messages[0].content %}{{ p.text }}{% endfor %}");
  CHECK(chat(parts_only, {{"messages", parts}, {"max_tokens", 1}})
            .json()
            .at("usage")
            .at("prompt_tokens") == 3);
  CHECK(chat(parts_only, {{"max_tokens", 1}}).json().at("usage").at("prompt_tokens") == 3);
}

TEST_CASE("what the template refuses or cannot pay for is 400 and repeats nothing") {
  LiveServer live;
  use_template(
      live,
      "{% if messages[0].role == 'canary' %}{{ raise_exception('No ' + messages[0].role) }}"
      "{% endif %}{% for a in range(messages[0].content|length * 1000) %}"
      "{% for b in range(1000) %}{% endfor %}{% endfor %}{{ messages[0].content }}");
  const auto error = [&](const char* role, const std::string& content) {
    const json messages = json::array({{{"role", role}, {"content", content}}});
    const Answer answer = chat(live, {{"messages", messages}});
    CHECK(answer.status == 400);
    CHECK(answer.body.find("canary") == std::string::npos);
    return answer.json().at("error").value("message", "");
  };
  CHECK_THAT(error("canary", ""), Catch::Contains("No ..."));
  CHECK_THAT(error("user", std::string(90, 'a')), Catch::Contains("chat template"));
  CHECK_THAT(error("user", ""), Catch::Contains("empty prompt"));
}

TEST_CASE("a client that leaves its chat frees its place") {
  testing::LiveOptions options;
  options.step_delay = std::chrono::milliseconds(1);
  LiveServer live(options);
  use_template(live, "{{ messages[0].content }}");
  for (const bool started : {false, true}) {
    Client client(live.port());
    const json body = {{"messages", json::array({{{"role", "user"}, {"content", "a"}}})},
                       {"max_tokens", 1400},
                       {"stream", true}};
    client.send(post("/v1/chat/completions", body.dump()));
    if (started) CHECK(client.read_until("data: "));
    client.reset();
    CHECK(live.wait_idle());
  }
  CHECK(live.engine().status().free_blocks == live.engine().status().total_blocks);
}

}  // namespace
}  // namespace quire::server
