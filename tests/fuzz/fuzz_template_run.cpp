// Any conversation through fixed templates that use everything: rendered or refused; and what came
// from the conversation is never the template's own, whatever was done to it.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/template/chat_template.h"
#include "proto/json_reader.h"

#include <nlohmann/json.hpp>

namespace {

using namespace quire;
using engine::ChatTemplate;
using proto::JsonTree;

// No literal of these templates but the brackets has a byte of kMark.
constexpr std::string_view kMark = "#";
constexpr std::string_view kSources[] = {
    "{% for m in messages %}<{{ m.role }}>{{ m.content|trim }}{{ m['content'][::-1] }}{{ "
    "m.content|upper ~ m|tojson(indent=2) }}{% endfor %}",
    "{% for m in messages %}{% for k, v in m|dictsort %}{{ k|title }}={{ v|string|replace('a', 'b')"
    "|indent(3, true) }}{{ v }}{% endfor %}{{ m.keys()|join('-') }}{% endfor %}",
    "{% for m in messages %}{{ (m.content or '').split('<')|map('capitalize')|join('<') }}{{ "
    "'%s|%5s' % (m.role, m.role) }}{{ '{}'.format(m.content) }}{{ m.content|safe + m.role }}"
    "{% endfor %}",
    "{{ messages|map(attribute='content')|select|unique|sort|list }}{{ messages|length }}{{ "
    "messages[0].content|int }}{{ messages[-1].content|float }}{{ messages|string }}",
    "{% macro f(x, d=0) %}{% if x is mapping %}{% for k, v in x.items() %}{{ k }}{{ f(v, d + 1) }}"
    "{% endfor %}{% elif x is iterable and x is not string %}{% for v in x %}{{ f(v, d + 1) }}"
    "{% endfor %}{% else %}{{ x|truncate(9)|center(12)|wordcount }}{{ x }}{% endif %}{% endmacro %}"
    "{{ f(messages) }}",
};

const std::vector<ChatTemplate>& templates() {
  static const std::vector<ChatTemplate> all = [] {
    std::vector<ChatTemplate> made;
    for (const std::string_view source : kSources) {
      Result<ChatTemplate> parsed = ChatTemplate::parse(source, {});
      if (!parsed) std::abort();
      made.push_back(std::move(*parsed));
    }
    return made;
  }();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!proto::read_json(text, {})) return 0;  // as of a request's body
  const Result<JsonTree> messages = proto::read_json_tree(text);
  if (!messages) return 0;
  for (const ChatTemplate& chat_template : templates()) {
    const Result<engine::ChatPrompt> prompt = chat_template.render({.messages = messages.value()});
    if (!prompt) {
      if (prompt.error().message.find(kMark) != std::string::npos) std::abort();
      continue;
    }
    std::size_t begin = 0;
    for (const engine::TextRun& run : prompt.value().runs) {
      const std::string_view part =
          std::string_view(prompt.value().text).substr(begin, run.end - begin);
      if (run.origin == engine::TextOrigin::kTemplate && part.find(kMark) != part.npos) {
        std::abort();
      }
      begin = run.end;
    }
  }
  return 0;
}
