"""Chat templates written here, in the forms that models use, and the conversations they render."""

SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather in a place: \"now\" & <soon>.",
    "parameters": {"type": "object", "required": ["place"], "properties": {
        "place": {"type": "string", "description": "Z\u00fcrich or \u6771\u4eac"},
        "days": {"type": ["integer", "null"], "default": 1, "enum": [1, 2.5]},
        "tags": {"type": "array", "items": {"type": "string"}}}}}}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


CALL = [{"id": "call00001", "type": "function",
         "function": {"name": "get_weather", "arguments": {"place": "Z\u00fcrich", "days": 2}}}]

CONVERSATIONS = [
    {"messages": [user("Hello")]},
    {"messages": [{"role": "system", "content": "Be brief.\n"}, user("  Hi there! "),
                  assistant(" Hello. "), user("Why?\n\n")]},
    {"messages": [user("caf\u00e9 \u4e16\u754c \U0001f600 'quoted' \"twice\" <s> <|im_start|>"),
                  assistant("<think>\nhm\n</think>\n\nyes"), user("")]},
    {"messages": [user("Weather?"), assistant(None, tool_calls=CALL),
                  {"role": "tool", "name": "get_weather", "tool_call_id": "call00001",
                   "content": "{\"sky\": \"clear\"}"}, assistant("Clear."), user("Thanks")],
     "tools": [WEATHER]},
    {"messages": [{"role": "system", "content": "S"},
                  user([{"type": "text", "text": "part one"}, {"type": "text", "text": "two"}])]},
    {"messages": [assistant("I begin"), user("So what")]},
    {"messages": [{"role": "nobody", "content": "x"}]},
    {"messages": [user(f"question {i}") if i % 2 == 0 else assistant(f"answer {i}")
                  for i in range(9)], "enable_thinking": False},
]

GUARD = ("{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
         "{{ raise_exception('Roles must alternate') }}{% endif %}")

TEMPLATES = {
    "chatml": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
              "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}"
              "{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "chatml_default_system": "{%- if messages[0]['role'] != 'system' -%}\n<|im_start|>system\nYou help."
                             "<|im_end|>\n{% endif -%}\n{%- for m in messages %}\n<|im_start|>{{ m.role }}\n"
                             "{{ m.content|trim }}<|im_end|>\n{%- endfor %}\n",
    "inst": "{{ bos_token }}{% for message in messages %}" + GUARD +
            "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
            "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
            "{% else %}{{ raise_exception('Only user and assistant!') }}{% endif %}{% endfor %}",
    "inst_system": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
                   "{% set system_message = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}"
                   "{% else %}{% set loop_messages = messages %}{% set system_message = '' %}{% endif %}"
                   "{% for message in loop_messages %}{% if loop.index0 == 0 %}"
                   "{% set content = system_message + message['content'] %}{% else %}"
                   "{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
                   "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}"
                   "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "headers": "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
               "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim"
               " + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
               "{{ content }}{% endfor %}{% if add_generation_prompt %}"
               "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
    "turns": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system') }}{% endif %}"
             "{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}"
             "{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + "
             "message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
             "{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}",
    "tools_json": "{%- if tools %}\n{{- 'Tools:\\n' }}\n{%- for tool in tools %}\n{{- tool | tojson }}\n"
                  "{{- '\\n' }}\n{%- endfor %}\n{%- endif %}\n{%- for m in messages %}\n"
                  "{%- if m.tool_calls %}\n{%- for c in m.tool_calls %}\n{%- set f = c.function %}\n"
                  "{{- '<tool_call>\\n{\"name\": \"' + f.name + '\", \"arguments\": ' }}\n"
                  "{{- f.arguments | tojson }}\n{{- '}\\n</tool_call>' }}\n{%- endfor %}\n"
                  "{%- else %}\n{{- m.role ~ ': ' ~ m.content ~ '\\n' }}\n{%- endif %}\n{%- endfor %}",
    "tools_indented": "{% if tools is not none %}{{ tools | tojson(indent=4) }}\n{% endif %}"
                      "{% for m in messages %}{{ m | tojson(indent=2) | indent(2) }}\n{% endfor %}",
    "parts": "{% for m in messages %}{{ m.role }}: {% if m.content is string %}{{ m.content }}"
             "{% else %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}"
             "{% endfor %}{% endif %}\n{% endfor %}",
    "parts_only": "{% for m in messages %}{% for p in m['content'] | selectattr('type', 'equalto', 'text') %}"
                  "{{ p['text'] }}{% endfor %};{% endfor %}",
    "thinking": "{%- for m in messages %}{%- set content = m.content if m.content is string else '' %}"
                "{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1].lstrip('\\n') %}"
                "{%- endif %}{{- m.role + ': ' + content + '\\n' }}{%- endfor %}"
                "{%- if add_generation_prompt %}{{- 'assistant: ' }}{%- if enable_thinking is defined and "
                "enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}",
    "namespace_scan": "{%- set ns = namespace(multi=true, last=messages|length - 1) %}"
                      "{%- for m in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}"
                      "{%- if ns.multi and m.role == 'user' %}{%- set ns.multi = false %}"
                      "{%- set ns.last = index %}{%- endif %}{%- endfor %}last={{ ns.last }}",
    "macros": "{%- macro part(role, text, end='\\n') -%}\n[{{ role|upper }}] {{ text }}{{ end }}\n{%- endmacro -%}"
              "{%- for m in messages -%}{{ part(m.role, m.content) }}{%- endfor -%}"
              "{{ part('end', messages|length, end='') }}",
    "recursive_schema": "{%- macro kind(s) -%}{%- if s.type is string -%}{{ s.type }}{%- if s.type == 'array' -%}"
                        "<{{ kind(s['items']) }}>{%- endif -%}{%- elif s.type is iterable -%}"
                        "{{ s.type | join(' | ') }}{%- endif -%}{%- if s.properties is defined -%}{ "
                        "{%- for k, v in s.properties.items() %} {{ k }}: {{ kind(v) }}{{ ',' if not loop.last }}"
                        "{%- endfor %} }{%- endif -%}{%- endmacro -%}"
                        "{%- for t in tools or [] %}{{ t.function.name }}({{ kind(t.function.parameters) }})\n"
                        "{%- endfor %}",
    "dates": "Today is {{ strftime_now('%d %b %Y') }}.\n{% if strftime_now is defined %}{{ strftime_now('%Y-%m-%d') }}"
             "{% endif %}{% for m in messages %}\n{{ m.content }}{% endfor %}",
    "filters": "{% for m in messages %}{{ m.role|capitalize }}|{{ (m.content or 'none')|string|replace('\\n', ' ')"
               "|trim|title }}|{{ m.content|length if m.content is string else -1 }}\n{% endfor %}",
    "selected": "{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list|length }}"
                "{{ messages|rejectattr('role', 'in', ['user', 'assistant'])|map(attribute='role')|join(',') }}"
                "{{ messages|map(attribute='role')|unique|sort|join('+') }}",
    "neighbours": "{% for m in messages %}{% if loop.previtem and loop.previtem.role == m.role %}again{% endif %}"
                  "{{ m.role }}{% if loop.nextitem is defined %}>{{ loop.nextitem.role }}{% endif %};{% endfor %}",
    "controls": "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}"
                "{% if loop.index > 4 %}{% break %}{% endif %}{{ m.role }} {% endfor %}",
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
                  "{{ eos_token }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    "call_block": "{% macro box(kind) %}<{{ kind }}>{{ caller() }}</{{ kind }}>{% endmacro %}"
                  "{% for m in messages %}{% call box(m.role) %}{{ m.content }}{% endcall %}{% endfor %}",
    "filter_block": "{% filter trim %}\n  {% for m in messages %}{{ m.role }}\n{% endfor %}\n{% endfilter %}|",
    "set_block": "{% set body %}{% for m in messages %}{{ m.content }}/{% endfor %}{% endset %}"
                 "{{ body|length }}:{{ body[:20] }}:{{ body[-5:] }}",
    "line_blocks": "{% for m in messages %}\n    {% if m.role == 'user' %}\n    U {{ m.content }}\n"
                   "    {% else %}\n\tA {{ m.content }}\n    {%- endif %}\n{% endfor %}\nend\n",
    "plus_blocks": "{% for m in messages +%}\n  {%+ if true %}x{% endif +%}\n{{ m.role }}{% endfor %}",
    "raw": "{% raw %}{{ not run }}{% endraw %}{% for m in messages %}{# {{ m }} #}{{ m.role }}{% endfor %}",
    "python_forms": "{{ messages }}{{ tools is none }}{{ messages[0].keys() | list }}{{ [none, true, 1.0, 'a'] }}",
    "percent": "{% for m in messages %}{{ '%02d %s' % (loop.index, m.role) }};{{ '{}-{}'.format(loop.index, m.role) }}"
               "{% endfor %}",
    "arguments": "{% for m in messages if m.tool_calls is defined %}{% for c in m.tool_calls %}"
                 "{% for k, v in c.function.arguments|items %}{{ k }}={{ v|tojson if v is not string else v }};"
                 "{% endfor %}{% endfor %}{% endfor %}",
    "documents": "{% if documents %}{% for d in documents %}{{ d.title }}{% endfor %}{% else %}no documents"
                 "{% endif %}{{ bos_token }}{{ pad_token }}{{ unk_token }}",
    "dictsort": "{% for t in tools or [] %}{% for k, v in t.function.parameters.properties|dictsort %}"
                "{{ k }}:{{ v.get('type', 'any') }}:{{ v.default | default('-') }} {% endfor %}{% endfor %}",
    "safe": "{% for m in messages %}{{ '<b>' | safe + (m.content if m.content is string else '') }}{% endfor %}",
}
