"""Small templates, each for one rule of the language, and the names they see."""

VARIABLES = {
    "n": 3, "m": -7, "x": 2.5, "s": "abc", "t": "  Hello, World \n", "empty": "", "yes": True,
    "nothing": None, "big": 2**53, "uni": "h\u00e9llo \u4e16\u754c \U0001f600 \u00df",
    "nums": [3, 1, 2], "words": ["pear", "Apple", "fig"], "nested": [[1, 2], [3]], "none_list": [],
    "obj": {"k": "v", "z": 1, "a": {"b": [1, {"c": None}]}, "items": "mine"},
    "people": [{"name": "Ann", "age": 3, "tags": ["x"]}, {"name": "bob", "age": 1, "tags": []},
               {"name": "Cy", "tags": ["y", "z"]}],
    "quote": "it's \"so\" \\ \t\x07\u00a0\u200b", "html": "a <b> & 'c' \"d\"",
    "lines": "one\ntwo\r\n\nthree", "messages": [{"role": "user", "content": "hi"}],
    "text": "the end of the line", "floats": [0.1, 1e16, 1e-5, 100.0, 123456789.123, 1e22, -0.0],
    "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}],
}

EXPRESSIONS = r"""
n + 1|m - n|n * 2|n / 2|m // 2|m % 3|n % m|n ** 2|2 ** -1|2 ** 3 ** 2|-n ** 2|- -n|+n|n + x
7 // 2|-7 // 2|7 // -2|-7 % 2|7 % -2|7.5 // 2|-7.5 % 2|1 / 0|1 // 0|1 % 0|true + true|n ~ s ~ none
s + s|s * 3|3 * s|s * -1|[1] * 2|nums + [4]|(1, 2) + (3,)|nums + (1,)|s + 1|1 + s|s - s
n == 3|n == 3.0|n == '3'|true == 1|none == none|missing == missing|missing == none|s == 'abc'
nums == [3, 1, 2]|(1, 2) == [1, 2]|{'a': 1} == {'a': 1.0}|obj == obj|s != 'abc'|n != 3
n < 5|n < 5 < 4|1 < 2 < 3 < 4|1 < 3 > 2|s < 'abd'|'a' < 'B'|[1, 2] < [1, 3]|(1, 2) < (1,)|s < 1|none < 1
1 <= 1|2 >= 3|'b' >= 'a'|missing < 1|{} < {}|n in nums|4 not in nums|'b' in s|'' in s|1 in s|'k' in obj
'q' in obj|none in [none]|1 in none|1 in missing|[1] in [[1]]|not n|not not n|not ''|n and 0|0 or 'x'
'' or none or 'z'|1 and 2 and 3|1 and '' and 3|n if yes else m|n if empty|'a' if empty else 'b' if none else 'c'
(1,)|(1, 2)|()|(1)|[]|[1, 'a', none, true, 1.5]|{}|{'a': 1, "b": [1]}|{1: 2, none: 3}|[[], {}, ()]|{'a': 1}['a']
'a' 'b' "c"|'\n\t\\\'"'|"\x41\u00e9\U0001F600\101\q"|'é'|1_000|1.5e3|2e-3|.5|0|00|007|true|True|None|False
obj.k|obj['k']|obj.a.b|obj.a.b[1].c|obj.missing|obj.missing.more|obj['missing']['more']|missing.x|missing['x']
obj.items|obj['items']|obj.get('k')|obj.get('q')|obj.get('q', 'd')|obj.get('q', default='d')|obj.keys()|list
obj.keys()|list|obj.values()|list|obj.items()|list|obj.a.items()|list|{}.items()|list|obj.pop('k')|obj.update({})
nums[0]|nums[-1]|nums[3]|nums[-4]|nums['0']|nums[1.0]|nums[true]|nums.0|s[0]|s[-1]|s[9]|uni[1]|uni[6]|uni[9]
nums[1:]|nums[:1]|nums[:-1]|nums[::-1]|nums[::2]|nums[5:]|nums[-2:]|nums[:]|nums[2:0:-1]|nums[::0]|nums[-9:9]
s[1:]|s[::-1]|uni[::-1]|uni[1:3]|uni[-1:]|s[:99]|s[2:1]|s['a':]|none[1:]|missing[1:]|(1, 2, 3)[1:]|obj[1:]|n[0]|none.x
s.upper()|s.title()|t.strip()|t.lstrip()|t.rstrip()|t.strip(' H')|s.strip('ac')|t.split()|t.split(',')|text.split(' ', 2)
text.split(maxsplit=1)|text.rsplit(' ', 1)|text.rsplit(maxsplit=2)|text.rsplit()|''.split()|''.split(',')|',a,,b,'.split(',')
s.split('')|'  a  b  '.split(maxsplit=1)|'  a  b  '.rsplit(maxsplit=1)|text.split('the')|text.split('the')[-1]|s.split(none)
text.startswith('the')|text.endswith('line')|text.endswith(('x', 'line'))|text.startswith('')|text.startswith(1)|text.find('end')
text.find('zzz')|uni.find('世')|text.rfind('the')|text.index('of')|text.index('zzz')|text.count('e')|text.count('')|text.find('the', 3)
text.replace('the', 'a')|text.replace('the', 'a', 1)|s.replace('', '-')|s.replace('b', '')|''.replace('', 'x')|uni.upper()
uni.lower()|uni.title()|uni.capitalize()|'ß'.upper()|'İ'.lower()|'ǆ'.title()|"they're bill's".title()|s.capitalize()|'AbC'.swapcase()
s.isupper()|'A1'.isupper()|'12'.isdigit()|''.isdigit()|'ab'.isalpha()|'a1'.isalnum()|' \t'.isspace()|'ab'.islower()|'1'.islower()
','.join(words)|''.join([])|','.join([1])|'-'.join(s)|lines.splitlines()|lines.splitlines(true)|''.splitlines()|'a\n'.splitlines()
'a-b-c'.partition('-')|'abc'.partition('x')|'7'.zfill(3)|'-7'.zfill(4)|'prefix'.removeprefix('pre')|'suffix'.removesuffix('fix')
'{} and {}'.format(1, 'b')|'{0}{1}{0}'.format('a', 'b')|'{a}'.format(a=n)|'{{}}'.format()|'{:>5}|'.format('a')|'{}'.format()
'%s is %d' % (s, n)|'%05d' % n|'%.2f' % x|'%s' % s|'%s' % nums|'%(a)s' % {'a': 1}|'%%' % ()|'%s' % (1, 2)|'%s %s' % (1,)|'%x' % 255
'%-5s|' % s|'%5s|' % s|'%+d' % 3|'%r' % s|'%d' % 'a'|nums.append(1)|nums.index(1)|nums.count(3)|nums.index(9)|nums.sort()
s.__class__|nums.__class__|obj.__class__|s.__class__.__mro__|nums.__init__.__globals__|obj['__class__']|s.format_map|self|cycler
lipsum|request|config|joiner|[].__class__.__base__.__subclasses__()|namespace.__init__|range.__self__|obj|attr('__class__')
t|trim|t|trim('\n')|t|upper|t|lower|s|capitalize|'hello world-foo (bar'|title|uni|title|text|title|none|upper|n|upper|missing|upper
s|length|nums|length|obj|length|uni|length|missing|length|none|length|n|length|words|count|''|length|nested|length
missing|default('d')|empty|default('d')|empty|default('d', true)|none|default('d')|missing|default|missing|d(1)|none|default('d', boolean=true)
nums|join|nums|join(', ')|words|join('-')|people|join(', ', attribute='name')|s|join('-')|[]|join('x')|missing|join('x')|none|join
nums|first|nums|last|[]|first|s|first|s|last|missing|first|obj|first|nums|first|string|none|first|words|last|length
nums|sort|nums|sort(reverse=true)|words|sort|words|sort(case_sensitive=true)|people|sort(attribute='name')|obj|sort|[1, 'a']|sort|s|sort
words|sort(true)|[2, 1.5, true]|sort|nums|reverse|list|s|reverse|uni|reverse|nums|unique|list|['a', 'A', 'b']|unique|list
['a', 'A']|unique(case_sensitive=true)|list|[1, 1.0, true]|unique|list|nums|min|nums|max|[]|min|words|max|nums|sum|[]|sum|people|sum(attribute='age')
people|map(attribute='name')|list|people|map(attribute='age', default=0)|list|words|map('upper')|list|words|map('replace', 'a', 'o')|list|nums|obj|list
people|map(attribute='tags.0')|list|people|map(attribute='tags')|map('length')|list|nested|map('first')|join(',')|words|map('nope')|list
people|selectattr('age')|map(attribute='name')|list|people|selectattr('age', 'equalto', 1)|list|length|people|rejectattr('age', 'defined')|map(attribute='name')|list
people|selectattr('name', 'in', ['Ann', 'Cy'])|map(attribute='name')|join(',')|nums|select('odd')|list|nums|reject('odd')|list|nums|select|list
[0, 1, '', 'a', none]|select|list|[0, 1, '']|reject|list|nums|select('gt', 1)|list|nums|select('>=', 2)|list|people|selectattr('nope')|list
nums|select('nope')|list|nums|select('divisibleby', 3)|list|people|groupby('age', default=9)|length|words|batch(2)|list|words|batch(2, 'x')|list
obj|tojson|nums|tojson|uni|tojson|quote|tojson|floats|tojson|none|tojson|true|tojson|missing|tojson|obj|tojson(indent=2)|[]|tojson(indent=2)
{'a': [], 'b': {}}|tojson(indent=4)|uni|tojson(ensure_ascii=true)|obj|tojson(separators=(',', ':'))|obj|tojson(sort_keys=true)|(1, 2)|tojson|{1: 2, none: 3, true: 4}|tojson
obj|tojson(indent='--')|obj|tojson(indent=0)|html|tojson|'\x7f\x1f\u2028'|tojson|[[1, [2]], {}]|tojson(indent=1)|n|tojson|x|tojson|range(3)|list|tojson
s|string|n|string|nums|string|none|string|missing|string|floats|string|obj|string|quote|string|html|string|[quote]|string|[uni]|string|['\x00\x7f\xad']|string
'42'|int|'4.7'|int|'x'|int|'x'|int(5)|' 7 '|int|'-3'|int|'0x1f'|int(base=16)|'ff'|int(0, 16)|none|int|x|int|-2.7|int|missing|int|'1_0'|int|true|int|[]|int
'4.5'|float|'x'|float|none|float(1.5)|n|float|'1e3'|float|'inf'|float|missing|float|m|abs|-2.5|abs|s|abs|2.5|round|3.5|round|2.567|round(2)|2.1|round(0, 'ceil')
-2.1|round(method='floor')|7|round|7|round(-1)|s|round|text|replace('the', 'a')|text|replace('the', 'a', 1)|n|replace('3', '4')|s|replace('b')|lines|indent
lines|indent(2)|lines|indent(2, true)|lines|indent(2, first=true, blank=true)|lines|indent('> ')|''|indent|'a'|indent|n|indent|text|truncate(10)|text|truncate(10, true)
text|truncate(11, false, '')|text|truncate(99)|text|wordcount|s|center(9)|s|center(2)|'ab'|center(5)|'%s!'|format(s)|'%(a)s'|format(a=1)|html|escape|html|e|html|safe
(html|safe) + html|html + (html|safe)|(html|safe) ~ html|(html|safe) + (html|safe)|html|escape|escape|obj|dictsort|obj.a|dictsort|{'b': 1, 'A': 2}|dictsort|{'b': 1, 'A': 2}|dictsort(true)
{'b': 1, 'A': 2}|dictsort(by='value')|{'b': 1, 'A': 2}|dictsort(reverse=true)|obj|items|list|missing|items|list|nums|items|list|s|list|obj|list|n|list|none|list|missing|list
n is defined|missing is defined|missing is not defined|missing is undefined|obj.q is defined|none is none|n is none|s is string|n is string|n is number|yes is number
x is number|s is number|n is integer|yes is integer|x is float|yes is boolean|n is boolean|yes is true|1 is true|0 is false|none is false|obj is mapping|nums is mapping
nums is sequence|s is sequence|obj is sequence|n is sequence|missing is sequence|obj.keys() is sequence|(nums|map('string')) is sequence|nums is iterable|s is iterable
n is iterable|none is iterable|missing is iterable|n is odd|m is even|x is odd|s is odd|n is divisibleby 3|n is divisibleby(2)|n is divisibleby 0|n is eq 3|n is equalto(3.0)
n is ne 4|n is lt 4|n is gt 4|n is le 3|n is ge 4|n is sameas 3|yes is sameas true|1 is sameas true|none is sameas none|n is in nums|n is not in [1]|s is lower|'A' is upper
s is callable|range is callable|obj.get is callable|n is nope|n is defined and s is string|not n is defined|n is not none|s is defined == true|-1|abs|n is number|string
-n|abs|2 + 3|string|'a' ~ 1 + 2|'a' ~ 2 * 3|1 - 1 - 1|2 * 3 + 4 * 5|(2 + 3) * 4|10 - 2 ~ 3|1 if 0 else 2 + 3|'a' in 'abc' and 'd' not in 'abc'|not 1 == 2
[1, 2,]|{'a': 1,}|(1, 2,)|range(3)|list|range(1, 4)|list|range(4, 1, -1)|list|range(0)|list|range(1, 2, 0)|range('a')|range(3)|length|range(3)[1]|range(3)|sum
dict(a=1)|dict({'a': 1}, b=2)|dict([('a', 1)])|namespace(a=1).a|namespace().a|namespace({'a': 2}).a|namespace(_a=1)|strftime_now('%Y-%m-%d')|strftime_now('%d %B %Y, %H:%M:%S')
raise_exception('no')|raise_exception()|n()|missing()|none()|s.nope()|obj.a.nope()|nums|nope|1 +|(|)|[1|{'a' 1}|'open|n..m|a b|1 = 2|n is|n is not|is n|{{|%}|@|n?|$
loop|loop.index|caller|varargs|super()|n|string|length|'a,b'.split(',')|map('upper')|join('+')|(nums|length) > 2 and nums[0] == 3|people[0].name ~ ':' ~ people[0]['age']
people[-1].age is defined|people[-1].get('age', 'none')|obj['a']['b'][1]|tree[0].c[1].c[0].v|(n, m)[1]|{'x': n}.x|[n, m][0]|{'get': 1}.get|{'get': 1}['get']|{'k': 1}.k|'abc'[1]
*[1]|**{}|range(*[3])|list|dict(**{'a': 1})|namespace(**{'a': 1}).a|range(*[1, 4])|list|'{}{}'.format(*['a', 'b'])|"%s" % "x" ~ "y"|'a' == 'a' == 'a'|1 < 2 == true
"""

TEMPLATES = [
    "a\n{% if yes %}\n  b\n{% endif %}\nc\n", "a  {%- if yes -%}  b  {%- endif -%}  c",
    "  {% if yes %}x{% endif %}\n  {% if yes %}\n y\n  {% endif %}\nz", "{{ n }}\n{{ m }}\n\n",
    "{# c #}\na{# c #}b\n  {# c #}\n  d{#- c -#}  e", "a {{- n -}} b {{ n -}}\n c {{- n }} d",
    "  {%+ if yes %}x{% endif +%}\ny", "{% raw %}{{ n }}{% if %}{% endraw %}!", "a\r\nb\rc\n",
    "{%- raw -%}  {{ x }}  {%- endraw -%}  b", "{% raw %}\n a\n{% endraw %}\nb", "{% raw %}x",
    "\n\n{% set a = 1 %}\n\n{{ a }}", "{% if n == 1 %}a{% elif n == 3 %}b{% else %}c{% endif %}",
    "{% if missing %}a{% elif none %}b{% endif %}d", "{% if n %}", "{% endif %}", "{% else %}",
    "{% for i in nums %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}"
    "{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}{{ i }};{% endfor %}",
    "{% for i in nums %}{{ loop.previtem }},{{ i }},{{ loop.nextitem }};{% endfor %}",
    "{% for i in nums %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for i in nums %}{{ loop.cycle('a', 'b') }}{% endfor %}{{ loop is defined }}",
    "{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{% endfor %}",
    "{% for i in nums if i > 1 %}{{ i }}:{{ loop.length }} {% else %}none{% endfor %}",
    "{% for i in [] %}x{% else %}empty{% endfor %}", "{% for i in missing %}x{% else %}e{% endfor %}",
    "{% for i in none %}x{% endfor %}", "{% for i in n %}x{% endfor %}", "{% for c in uni %}{{ c }}.{% endfor %}",
    "{% for k in obj %}{{ k }} {% endfor %}", "{% for k, v in obj.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in obj|items %}{{ k }};{% endfor %}", "{% for k, v in obj|dictsort %}{{ k }};{% endfor %}",
    "{% for a, b in [(1, 2), (3, 4)] %}{{ a + b }} {% endfor %}", "{% for a, b in [(1,)] %}x{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for i in nums %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in nums %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% else %}no{% endfor %}",
    "{% for i in nums %}{% for j in words %}{% if j == 'Apple' %}{% break %}{% endif %}{{ i }}{{ j }}"
    "{% endfor %}{{ loop.index }}{% endfor %}", "{% break %}", "{% continue %}",
    "{% for n in tree recursive %}{{ n.v }}({{ loop.depth }}{{ loop(n.c) }}){% endfor %}",
    "{% for i in nums %}{{ loop(i) }}{% endfor %}", "{% set a = 1 %}{% for i in nums %}{% set a = i %}"
    "{{ a }}{% endfor %}{{ a }}", "{% for i in nums %}{{ a }}{% set a = i %}{{ a }}{% endfor %}",
    "{% set ns = namespace(a=0) %}{% for i in nums %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}",
    "{% set ns = namespace() %}{% set ns.x = 1 %}{{ ns.x }}{{ ns.y }}{{ ns['x'] }}", "{% set obj.k = 1 %}",
    "{% set ns = namespace() %}{% set ns._x = 1 %}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a, b = [1] %}", "{% set (a, b) = (1, 2) %}{{ b }}", "{% set none = 1 %}", "{% set 1 = 2 %}",
    "{% set a %}x{{ n }}y{% endset %}{{ a }}{{ a|length }}", "{% set a | upper | replace('X', '-') %}x{{ s }}{% endset %}{{ a }}",
    "{% set a = 1, 2 %}{{ a }}", "{% if yes %}{% set a = 5 %}{% endif %}{{ a }}", "{% set a = 1",
    "{% macro f(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(c=1, a=2) }}{{ f() }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{{ varargs }}{% endmacro %}{{ f(1, 2, 3) }}",
    "{% macro f(a) %}{{ kwargs }}{% endmacro %}{{ f(1, b=2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, a=2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, b=2) }}", "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "{% macro f() %}{{ later }}{% endmacro %}{% set later = 3 %}{{ f() }}", "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% for i in nums %}{% macro f() %}{{ i }}{% endmacro %}{{ f() }}{% endfor %}", "{% macro f() -%}\n x \n{%- endmacro %}[{{ f() }}]",
    "{% macro f(a='d') %}{{ a }}{% endmacro %}{{ f(none) }}{{ f(missing) }}{{ f() }}", "{% macro f(a, a2=a) %}{{ a2 }}{% endmacro %}{{ f(1) }}",
    "{% macro f(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) f(5) %}b{{ y }}{{ n }}{% endcall %}",
    "{% macro f() %}{{ caller is defined }}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}{% call f() %}in{% endcall %}{{ f() }}",
    "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter trim|replace('a', 'b') %}  a{{ s }} {% endfilter %}|",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}",
    "{% with a = 1, b = a %}{{ b }}{% endwith %}", "{% generation %}x{{ n }}{% endgeneration %}y", "{% print n %}", "{% do 1 %}",
    "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{% from 'x' import y %}", "{% nope %}",
    "{{ people|map(attribute='name')|list|join }}{% set g = nums|map('string') %}{{ g|join }}{{ g|join }}",
    "{% set g = nums|select %}{{ g|length }}", "{% if [0]|select %}yes{% endif %}", "{{ nums|map('string')|first }}",
    "{{ (nums|map('string'))[0] }}", "{% set x = 1 %}{% macro f() %}{% set x = 2 %}{{ x }}{% endmacro %}{{ f() }}{{ x }}",
    "{% set l = [] %}{% set l = l + [1] %}{{ l }}", "{{ '{{' }}{{ '}}' }}{{ '%}' }}", "{{ {'a': {'b': 1}}['a'] }}", "{{ {'a':{}}}}",
    "{{ n }}{{ '' }}{{ none }}{{ missing }}", "{{ 1\n+\n2 }}", "{{ 'multi\nline' }}", "{%if n%}a{%endif%}", "{%-if n-%} a {%-endif-%} b",
    "{{n}}{{m}}", "{{ }}", "{% %}", "{", "{ {", "a{b}c", "{{ n", "{% if n", "{# open", "x{{ '}}' }}y", "{{ n # c }}", "{%- for i in nums -%}\n {{ i }}\n{%- endfor -%}\n",
    "{{ '\\n' }}{{ \"\\t\" }}|", "{{ 'a\\\nb' }}", "{{ loop.index if loop else 'no' }}", "{% for m in messages %}{{ m.role }}{{ m['content'] }}{% endfor %}",
    "{{ messages[0]['content']|trim }}{{ messages[-1].role }}{{ messages|length }}{{ messages[5].role is defined }}", "{{ messages[0].tool_calls is defined }}",
    "{{ raise_exception('x') if false else 'ok' }}", "{% if false %}{{ raise_exception('x') }}{% endif %}ok", "{{ [1,2,3][messages|length:] }}",
    "{% set i = nums[::-1] %}{% for x in i %}{{ x }}{% endfor %}", "{{ nums|sort|reverse|list }}", "{% set t = 'x' %}{{ t }}", "{{ namespace }}" "{{ 1 }}",
    "{{ [{'a':1},{'b':2}]|sort(attribute='zz') }}", "{{ [none,none]|sort }}", "{{ [2, none]|sort }}", "{{ [q, q]|min }}",
    "{{ [[1],[1]]|unique|list }}", "{{ [(1,),(1,)]|unique|list }}", "{{ [([1],)]|unique|list }}", "{{ [{}]|unique|list }}",
    "{{ 'x' % [1] }}", "{{ 'x' % [] }}", "{{ 'x' % (1,) }}", "{{ 'x' % 'a' }}", "{{ 'x%s' % [1,2] }}", "{{ 'x' % (words|map('upper')) }}",
    "{{ 3 is odd is true }}", "{{ 3 is divisibleby(3) is true }}", "{{ 3 is divisibleby 3 is true }}", "{{ 3 is in [3] is true }}",
    "{{ '<b>'|safe|forceescape }}", "{{ '<b>'|forceescape }}", "{{ '<b>'|safe|escape }}", "{{ none|forceescape }}",
    "{{ 'upper' is filter }}", "{{ 'zz' is filter }}", "{{ 1 is filter }}", "{{ 'odd' is test }}", "{{ 'zz' is test }}",
    "{{ strftime_now('%Z|%z|%%z %%Z %') }}", "{{ strftime_now('%Z') }}|",
]


def cut(line: str) -> list[str]:
    """Cuts a line into expressions: a bar before a filter's name belongs to the expression."""
    import jinja2.defaults
    filters = set(jinja2.defaults.DEFAULT_FILTERS) | {"nope", "d", "e"}
    parts, current = line.split("|"), []
    for part in parts:
        name = part.split("(")[0].split(".")[0].split("[")[0].split(" ")[0].strip()
        if current and name in filters and part[:1] != " ":
            current[-1] += "|" + part
        else:
            current.append(part)
    return current


SMALL = TEMPLATES + ["{{ " + e + " }}" for line in EXPRESSIONS.strip().splitlines() for e in cut(line)]
