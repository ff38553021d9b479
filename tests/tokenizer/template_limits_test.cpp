// Hostile templates: each ends by a limit or an error, and reaches nothing of the program.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/tokenizer/template/fuel.h"
#include "tests/support/allocation_count.h"
#include "tests/tokenizer/template_data.h"

namespace quire::engine {
namespace {

using test::JsonTree;

std::string repeated(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

std::int64_t peak_bytes() {
  rusage usage{};
  REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

// Renders over one short message; the message of the error, or "" where there was none.
std::string error_of(const std::string& source) {
  const JsonTree names = test::read_tree(
      R"({"messages": [{"role": "user", "content": "hi"}], "s": "abc", "list": [1, 2]})");
  const Result<ChatPrompt> got = test::render_names(source, names);
  return got ? "" : got.error().message;
}

// What would run, grow or recurse for ever, and how each is ended.
std::vector<std::pair<std::string, std::string>> hostile_templates() {
  const std::string loop = "{% for a in range(99999) %}";
  const std::string end = "{% endfor %}";
  return {
      {loop + loop + "x" + end + end, "too much text"},
      {loop + "{% set x = s.split('b') %}" + end, "ran for too long"},
      {"{{ range(1000000000) }}", "range() is too long"},
      {"{{ '-' * 10000000000 }}", "too much text"},
      {"{{ 'x'|indent(1000000000) }}{{ '\n'|indent(1000000000, true) }}", "too much text"},
      {"{{ list|tojson(indent=1000000000) }}", "too much text"},
      {"{{ s|center(100000000000) }}", "too much text"},
      {"{{ [1] * 10000000000 }}", "ran for too long"},
      {"{{ s.zfill(10000000000) }}", "too much text"},
      {"{% set ns = namespace(a='ab') %}" + loop + "{% set ns.a = ns.a + ns.a %}" + end,
       "too much text"},
      {"{% set ns = namespace(a=[1]) %}" + loop + "{% set ns.a = [ns.a] %}" + end,
       "nested too deep"},
      {"{% set ns = namespace(a={}) %}" + loop + "{% set ns.a = {'a': ns.a} %}" + end,
       "nested too deep"},
      {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursed too deep"},
      {"{% macro f(n) %}{% if n %}{{ f(n) ~ f(n) }}{% endif %}{% endmacro %}{{ f(1) }}",
       "recursed too deep"},
      {"{% for a in [[[]]] recursive %}{{ loop([a]) }}{% endfor %}", "recursed too deep"},
      {"{% set ns = namespace() %}{% macro f() %}{{ ns.g() }}{% endmacro %}{% set ns.g = f %}"
       "{{ f() }}",
       "recursed too deep"},
      {"{% set big = 'a' * 4000000 %}{% for a in range(2000) %}{% if 'b' in big %}{% endif %}" +
           end,
       "read too much"},
      {loop + loop + "{% set x = namespace() %}" + end + end, "too"},
      {loop + "{% macro f() %}{% endmacro %}" + loop + end + end, "too"},
      {repeated("{{ '" + std::string(90000, 'x') + "' }}", 10) + loop + "{{ 'y' * 1000 }}" + end,
       "too"},
  };
}

TEST_CASE("templates that would run, grow or recurse for ever are ended by their fuel") {
  for (const auto& [source, expected] : hostile_templates()) {
    CAPTURE(source.substr(0, 200));
    CHECK_THAT(error_of(source), Catch::Contains(expected));
  }
}

// The bytes that may be made are bounded (kMadeBytes); values and the stack stand beside them.
TEST_CASE("what a hostile template may take of the memory is bounded") {
  constexpr std::int64_t kBound = std::int64_t{64} << 20;
  if (!quire::test::kAllocationsCounted) return;  // a sanitizer keeps what was freed
  for (const auto& [source, expected] : hostile_templates()) {
    CAPTURE(source.substr(0, 200));
    // In a process of its own, whose peak is the template's.
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const std::int64_t before = peak_bytes();
      const bool refused = !error_of(source).empty();
      _exit(refused && peak_bytes() - before <= kBound ? 0 : 1);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
}

TEST_CASE("sources that nest too deep, or are no templates, are refused when they are read") {
  const std::string sources[] = {
      "{{ " + std::string(150, '(') + "1" + std::string(150, ')') + " }}",
      "{{ " + std::string(100000, '(') + " }}",
      "{{ " + std::string(100000, '[') + " }}",
      "{{ " + std::string(100000, '-') + "1 }}",
      "{{ " + repeated("not ", 100000) + "1 }}",
      "{{ " + repeated("1 if 1 else ", 100000) + "1 }}",
      "{{ " + repeated("{1: ", 100000) + " }}",
      repeated("{% if 1 %}", 1000),
      repeated("{% for a in b %}", 1000),
      repeated("{% macro f() %}", 1000),
      "{% set " + std::string(100000, '(') + " %}",
      "{% for " + std::string(100000, '(') + " %}",
      "{{ '\\ud800' }}",
      "{{ '\\x4' }}",
      "{{ 99999999999999999999 }}",
      std::string(jinja::kMaxTemplateBytes + 1, 'x'),
      "\xff",
      "{% include 'etc' %}",
      "{% import 'os' as os %}",
      "{% extends 'x' %}",
  };
  for (const std::string& source : sources) {
    CAPTURE(source.substr(0, 100));
    CHECK(!ChatTemplate::parse(source, {}).ok());
  }
}

TEST_CASE("long chains are no depth") {
  CHECK(error_of("{{ " + repeated("1 + ", 20000) + "1 }}").empty());
  CHECK(error_of("{{ " + repeated("1 and ", 20000) + "1 }}").empty());
  CHECK(error_of("{{ s" + repeated("|upper", 20000) + " }}").empty());
  CHECK(error_of("{% if 0 %}" + repeated("{% elif 0 %}", 20000) + "{% endif %}").empty());
}

TEST_CASE("there is no way out of the sandbox") {
  for (const std::string name :
       {"self", "cycler", "joiner", "lipsum", "config", "request", "__import__", "open", "exec",
        "s.__class__", "list.__class__", "messages.__len__", "raise_exception.__globals__",
        "namespace.__init__", "s.encode", "s.format_map", "list.append", "messages[0].pop",
        "messages[0].update"}) {
    CAPTURE(name);
    CHECK(error_of("{{ " + name + " }}").empty());  // undefined: written as nothing
    const Result<ChatPrompt> got =
        test::render_names("{{ " + name + " is defined }}",
                           test::read_tree(R"({"messages": [{}], "s": "a", "list": []})"));
    REQUIRE(got.ok());
    CHECK(got->text == "False");
    CHECK_THAT(error_of("{{ " + name + "() }}"), Catch::Contains("cannot be called"));
    CHECK(!error_of("{{ " + name + ".x }}").empty());
  }
  CHECK(!error_of("{% set messages.x = 1 %}").empty());
  CHECK(!error_of("{% set ns = namespace() %}{% set ns.__class__ = 1 %}").empty());
}

TEST_CASE("an error repeats nothing of the conversation") {
  const JsonTree names = test::read_tree(R"({"messages": [{"role": "canary"}]})");
  const auto message = [&](const std::string& source) {
    const Result<ChatPrompt> got = test::render_names(source, names);
    REQUIRE(!got.ok());
    return got.error().message;
  };
  CHECK_THAT(message("{{ raise_exception('Bad role ' + messages[0].role + '!') }}"),
             Catch::Contains("Bad role ...!") && !Catch::Contains("canary"));
  CHECK_THAT(message("{{ messages[0].role + 1 }}"), !Catch::Contains("canary"));
  CHECK(message("{{ raise_exception('x' * 5000) }}").size() < 400);
}

TEST_CASE("a long conversation has the fuel it needs") {
  JsonTree::List messages;
  for (int i = 0; i < 2048; ++i) {
    JsonTree::Map message;
    message.push_back({"role", JsonTree{std::string(i % 2 == 0 ? "user" : "assistant")}});
    message.push_back({"content", JsonTree{"message " + std::string(500, 'x')}});
    messages.push_back({std::move(message)});
  }
  const JsonTree conversation{std::move(messages)};
  const JsonTree golden = test::read_template_golden("conversations.json");
  for (const JsonTree& row : test::list_of(*golden.find("templates"))) {
    const std::string& name = test::text_of(*row.find("name"));
    if (name == "parts_only") continue;  // it would go through texts character by character
    const ChatTemplate chat_template = test::parse_template(
        test::text_of(*row.find("source")), {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
    const Result<ChatPrompt> got = chat_template.render({.messages = conversation});
    CAPTURE(name, got ? "" : got.error().message);
    CHECK(got.ok());
  }
}

}  // namespace
}  // namespace quire::engine
