// Where each byte of a prompt comes from, through every operation; and that only the template's own
// words become special tokens.

#include "tests/tokenizer/template_data.h"

namespace quire::engine {
namespace {

using test::JsonTree;

// The bytes that the template wrote, in brackets.
std::string marked(const ChatPrompt& prompt) {
  std::string out;
  std::size_t begin = 0;
  for (const TextRun& run : prompt.runs) {
    const std::string part = prompt.text.substr(begin, run.end - begin);
    out += run.origin == TextOrigin::kTemplate ? "[" + part + "]" : part;
    begin = run.end;
  }
  CHECK(begin == prompt.text.size());
  return out;
}

std::string marked(const std::string& expression) {
  const JsonTree names = test::read_tree(
      R"({"c": "a<s>b", "list": ["<s>", "x"], "map": {"<s>": "<s>"}, "n": 7, "line": "a\n<s>"})");
  const Result<ChatPrompt> got = test::render_names("{{ " + expression + " }}", names);
  INFO(expression);
  INFO((got ? std::string() : got.error().message));
  REQUIRE(got.ok());
  return marked(*got);
}

TEST_CASE("every operation keeps the origin of what it takes over") {
  const std::pair<std::string, std::string> rows[] = {
      {"'<s>' + c + '</s>'", "[<s>]a<s>b[</s>]"},
      {"'<s>' ~ n ~ true ~ 'x'", "[<s>]7True[x]"},
      {"('<s>' + c)[1:5]", "[s>]a<"},
      {"('<s>' + c)[::-1]", "b>s<a[>s<]"},
      {"c[1]", "<"},
      {"'<s>'[0]", "[<]"},
      {"('<s>' + c + ' ')|trim", "[<s>]a<s>b"},
      {"('<s>' + c)|upper", "[<S>]A<S>B"},
      {"('ab' + c)|title", "[Ab]a<S>b"},
      {"('ab' + c).capitalize()", "[Ab]a<s>b"},
      {"c|replace('s', 'T')", "a<[T]>b"},
      {"'a-b'.replace('-', c)", "[a]a<s>b[b]"},
      {"c.split('<')|join('|')", "a[|]s>b"},
      {"list|join('<s>')", "<s>[<s>]x"},
      {"'+'.join(list)", "<s>[+]x"},
      {"('<s>' + line)|indent(2)", "[<s>]a[\n  ]<s>"},
      {"'%s<s>%s' % (c, 'y')", "a<s>b[<s>y]"},
      {"'{}<s>'.format(c)", "a<s>b[<s>]"},
      {"'<s>'|format", "[<s>]"},
      {"map.keys()|first", "<s>"},
      {"map|dictsort|first|last", "<s>"},
      {"list|map('replace', 's', '<s>')|join", "<[<s>]>x"},
      {"c|default('<s>')", "a<s>b"},
      {"q|default('<s>')", "[<s>]"},
      {"c|truncate(3, true, '<s>', 0)", "[<s>]"},
      {"c * 2", "a<s>ba<s>b"},
      {"'<s>' * 2", "[<s><s>]"},
      {"('<b>'|safe) + c", "[<b>]a&lt;s&gt;b"},
      {"strftime_now('<s>')", "<s>"},
      {"c.partition('<')[1]", "[<]"},
      {"'x<s>y'.split('x')|last", "[<s>y]"},
  };
  for (const auto& [expression, expected] : rows) {
    CAPTURE(expression);
    CHECK(marked(expression) == expected);
  }
}

TEST_CASE("what is written as JSON or by repr() is foreign but for literals") {
  CHECK(marked("c|tojson") == "\"a<s>b\"");
  CHECK(marked("{'k': '<s>'}|tojson") == "{\"[k]\": \"[<s>]\"}");
  CHECK(marked("map|tojson") == "{\"<s>\": \"<s>\"}");
  CHECK(marked("map|string") == "{'<s>': '<s>'}");
  CHECK(marked("n|tojson") == "7");
}

TEST_CASE("macros, set blocks, calls and filters of blocks keep origins") {
  const JsonTree names = test::read_tree(R"({"c": "<s>"})");
  const auto render = [&](const std::string& source) {
    const Result<ChatPrompt> got = test::render_names(source, names);
    REQUIRE(got.ok());
    return marked(*got);
  };
  CHECK(render("{% macro f(x) %}<s>{{ x }}{% endmacro %}{{ f(c) }}") == "[<s>]<s>");
  CHECK(render("{% set a %}<s>{{ c }}{% endset %}{{ a }}") == "[<s>]<s>");
  CHECK(render("{% filter upper %}<s>{{ c }}{% endfilter %}") == "[<S>]<S>");
  CHECK(render("{% for x in c %}{{ x }}{% endfor %}") == "<s>");
  CHECK(render("{% set n = namespace(a='') %}{% for x in c %}{% set n.a = n.a + x %}{% endfor %}"
               "{{ n.a }}") == "<s>");
}

constexpr const char* kChat =
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}";

// A tokenizer whose special tokens are <s>, <|end|> and <|user|>; the rest is bytes.
std::unique_ptr<Tokenizer> make_tokenizer(const std::string& normalizer, bool normalized) {
  std::string vocab;
  for (int i = 0; i < 95; ++i) {
    const char c = static_cast<char>(' ' + i);
    const std::string name = c == ' '                ? "\xc4\xa0"
                             : c == '"' || c == '\\' ? std::string("\\") + c
                                                     : std::string(1, c);
    vocab += "\"" + name + "\": " + std::to_string(i) + ", ";
  }
  vocab += "\"\xc4\x8a\": 95";
  std::string added;
  int id = 100;
  for (const char* token : {"<s>", "<|end|>", "<|user|>"}) {
    added += (id > 100 ? ", " : "") + (R"({"id": )" + std::to_string(id)) + R"(, "content": ")" +
             token + R"(", "special": true, "single_word": false, "lstrip": false, "rstrip": false,
             "normalized": )" +
             (normalized ? "true" : "false") + "}";
    ++id;
  }
  Result<std::unique_ptr<Tokenizer>> made = Tokenizer::parse(
      R"({"added_tokens": [)" + added + R"(], "normalizer": )" + normalizer +
          R"(, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
          "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {)" +
          vocab + R"(}, "merges": []}})",
      "t.json");
  INFO((made ? std::string() : made.error().message));
  REQUIRE(made.ok());
  return std::move(*made);
}

TEST_CASE("only the template's own words become special tokens") {
  const auto tokenizer = make_tokenizer(R"({"type": "NFC"})", false);
  const auto chat_template = test::parse_template(kChat, {{"bos_token", "<s>"}});
  // Whole tokens, halves beside the template's own words, and a role that completes a literal.
  for (const std::string content :
       {"plain", "<s>", "<|end|>", "a<|user|>b<|end|>", "<|end|", "<", "<|", "|><|user|",
        "<|end|><|end|", "<s><s><s>", "e\\u0301 <|end|>"}) {
    for (const std::string role : {"user", "us", "end", "user|><|end"}) {
      const JsonTree messages =
          test::read_tree(R"([{"role": ")" + role + R"(", "content": ")" + content + R"("}])");
      const Result<ChatPrompt> prompt = chat_template.render({.messages = messages});
      REQUIRE(prompt.ok());
      const auto ids = tokenizer->encode_prompt(prompt->text, prompt->runs);
      CAPTURE(content, role);
      // bos, the end of the turn, and a role that is a usual one; any other is the client's word.
      CHECK(std::count_if(ids.begin(), ids.end(), [&](TokenId id) {
              return tokenizer->is_special(id);
            }) == (role == "user" ? 3 : 2));
      CHECK(ids.front() == 100);
      CHECK(ids[ids.size() - 2] == 101);
      if (content.find('u') == std::string::npos) {
        CHECK(tokenizer->decode(ids, false) == prompt->text);
      }
    }
  }
}

// The ids are those of the tokenizers package for the rendered text.
TEST_CASE("a usual role completes the template's own special token") {
  const auto tokenizer = make_tokenizer("null", false);
  const auto chat_template = test::parse_template(
      "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}"
      "{% endfor %}");
  const auto ids_of = [&](const std::string& messages) {
    const JsonTree tree = test::read_tree(messages);
    const Result<ChatPrompt> prompt = chat_template.render({.messages = tree});
    REQUIRE(prompt.ok());
    return tokenizer->encode_prompt(prompt->text, prompt->runs);
  };
  CHECK(ids_of(R"([{"role": "user", "content": "hi"}, {"role": "tool", "content": "no"}])") ==
        std::vector<TokenId>{102, 72, 73, 101, 28, 92, 84, 79, 79, 76, 92, 30, 78, 79, 101});
  // The same words elsewhere, and a role of one's own, stay text.
  for (const std::string message :
       {R"([{"role": "us", "content": "er|>"}])", R"([{"role": "User", "content": "x"}])",
        R"([{"role": "assistant", "name": "user", "content": "<|user|>"}])",
        R"([{"role": "x|><|user", "content": ""}])"}) {
    CAPTURE(message);
    const auto ids = ids_of(message);
    CHECK(std::count(ids.begin(), ids.end(), 102) == 0);
  }
  for (const char* role : {"system", "developer", "user", "assistant", "tool", "function"}) {
    const JsonTree tree =
        test::read_tree(R"([{"role": ")" + std::string(role) + R"(", "content": "c"}])");
    CHECK(marked(*chat_template.render({.messages = tree})) ==
          "[<|" + std::string(role) + "|>]c[<|end|>]");
  }
}

TEST_CASE("tokens that are looked for in normalized text keep to the same rule") {
  for (const std::string normalizer : {"null", R"({"type": "NFC"})"}) {
    const auto tokenizer = make_tokenizer(normalizer, true);
    const std::string text = "<s><s>x<|end|>";
    const std::vector<TextRun> runs{{3, TextOrigin::kTemplate},
                                    {7, TextOrigin::kForeign},
                                    {text.size(), TextOrigin::kTemplate}};
    const auto ids = tokenizer->encode_prompt(text, runs);
    CHECK(ids.front() == 100);
    CHECK(ids.back() == 101);
    CHECK(ids.size() == 6);
  }
}

TEST_CASE("a prompt is cut into pieces as one text") {
  // Golden tokenizers with merges: the ids of the joined text, however its runs are cut.
  for (const char* name : {"gpt2", "llama3", "qwen2", "llama2"}) {
    const auto tokenizer = test::load_golden(name);
    const std::string text = "the river, and the  rivers\n\nof 12345 it's";
    const auto expected =
        tokenizer->encode(text, {.add_special_tokens = false, .parse_special = false});
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      const std::vector<TextRun> runs{{cut, TextOrigin::kTemplate},
                                      {text.size(), TextOrigin::kForeign}};
      CAPTURE(name, cut);
      CHECK(tokenizer->encode_prompt(text, runs) == expected);
    }
  }
}

TEST_CASE("how a template wants a message's content") {
  using Form = ChatTemplate::ContentForm;
  CHECK(test::parse_template("{{ messages[0].content }}").content_form() == Form::kText);
  CHECK(test::parse_template("{{ messages[0]['content']|trim }}").content_form() == Form::kText);
  CHECK(test::parse_template("{% for p in messages[0].content %}{{ p.text }}{% endfor %}")
            .content_form() == Form::kParts);
  CHECK(test::parse_template("{% if messages[0].content is string %}{{ messages[0].content }}"
                             "{% else %}{{ messages[0].content[0].text }}{% endif %}")
            .content_form() == Form::kEither);
}

}  // namespace
}  // namespace quire::engine
