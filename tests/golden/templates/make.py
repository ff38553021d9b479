"""Renders the golden chat templates with jinja2 exactly as transformers sets it up.

    python tests/golden/templates/make.py [folder of real chat templates]

Writes, beside this file: expressions.json (small templates over one set of names, hand-written and
random ones, with the expected output or an error), conversations.json (conversations and templates
written here, with every rendering), and, where the folder is given, real_templates.json (length and
hash of what real models' templates make of the same conversations; the templates are not copied).
Needs transformers and jinja2; a test run needs only the JSON."""

import json
import random
import re
import sys
from datetime import datetime
from pathlib import Path

from own_templates import CONVERSATIONS, SPECIAL_TOKENS, TEMPLATES
from small_templates import SMALL, VARIABLES
from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = Path(__file__).resolve().parent
NOW = datetime(2026, 7, 26, 12, 34, 56)
RANDOM_PROGRAMS = 500


def render(source: str, names: dict) -> dict:
    try:
        template = _compile_jinja_template(source)
        template.environment.globals["strftime_now"] = NOW.strftime
        return {"out": template.render(**names)}
    except Exception:  # whatever it is: ours must refuse as well
        return {"error": True}


class Program:
    """A random template over VARIABLES: statements and expressions, often wrong on purpose."""

    ATOMS = ("n", "m", "x", "s", "t", "empty", "nums", "words", "obj", "nothing", "missing", "yes",
             "1", "2.5", "'ab'", "[]", "[3, 1, 2]", "{'k': 'v'}", "true", "loop.index0")
    FILTERS = ("length", "upper", "lower", "trim", "string", "tojson", "list", "first", "last",
               "join('-')", "default('d')", "int", "reverse|list", "sort", "unique|list", "title",
               "capitalize", "replace('a', 'bb')", "indent(2)", "abs", "items|list", "dictsort",
               "select|list", "map('string')|join(',')", "tojson(indent=2)", "float", "safe")
    TESTS = ("defined", "none", "string", "mapping", "sequence", "iterable", "number", "boolean",
             "true", "false", "in [1, 'a']", "equalto(1)", "odd", "undefined", "integer", "lower")
    BINARY = ("+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">=", "and", "or", "in",
              "not in", "**")
    POSTFIX = (".k", "[0]", "['k']", "[-1]", "[1:]", "[::-1]", "[:2]", ".get('k')", ".strip()",
               ".split('a')", ".upper()", ".items()|list", ".keys()|list", ".a.b", "[n]",
               ".startswith('a')", ".replace('a', 'x')", ".title()", ".append(1)", ".find('b')")

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def expression(self, depth: int) -> str:
        pick = self.random
        if depth <= 0:
            return pick.choice(self.ATOMS)
        kind = pick.randrange(8)
        inner = self.expression(depth - 1)
        if kind == 0:
            return f"{inner} {pick.choice(self.BINARY)} {self.expression(depth - 1)}"
        if kind == 1:
            return f"({inner})|{pick.choice(self.FILTERS)}"
        if kind == 2:
            return f"({inner}){pick.choice(self.POSTFIX)}"
        if kind == 3:
            negated = pick.choice(("", "not "))
            return f"({inner} is {negated}{pick.choice(self.TESTS)})"
        if kind == 4:
            return f"({inner} if {self.expression(0)} else {self.expression(depth - 1)})"
        if kind == 5:
            return f"[{inner}, {self.expression(0)}]"
        if kind == 6:
            return f"{pick.choice(('not ', '-', ''))}({inner})"
        return f"{pick.choice(self.ATOMS)}|{pick.choice(self.FILTERS)}"

    def block(self, depth: int) -> str:
        return "".join(self.statement(depth) for _ in range(self.random.randrange(1, 4)))

    def statement(self, depth: int) -> str:
        pick = self.random
        left, right = pick.choice(("{%", "{%-")), pick.choice(("%}", "-%}"))
        space = pick.choice(("", " ", "\n", "\n  "))
        expression = self.expression(pick.randrange(3))
        if depth <= 0 or pick.random() < 0.4:
            return f"{space}{{{{ {expression} }}}}"
        kind = pick.randrange(5)
        if kind == 0:
            return (f"{space}{left} if {expression} {right}{self.block(depth - 1)}"
                    f"{left} else {right}{self.block(depth - 1)}{left} endif {right}")
        if kind == 1:
            return (f"{space}{left} for x in {pick.choice(('items', 'words', 'map', expression))} "
                    f"{right}{self.block(depth - 1)}{left} endfor {right}")
        if kind == 2:
            return f"{space}{left} set {pick.choice(('x', 't'))} = {expression} {right}"
        if kind == 3:
            return (f"{left} macro f(s, t={expression}) {right}{self.block(depth - 1)}"
                    f"{left} endmacro {right}{{{{ f({self.expression(0)}) }}}}")
        return (f"{left} set ns = namespace(v={expression}) {right}{space}"
                f"{left} for y in words {right}{left} set ns.v = y {right}{left} endfor {right}"
                f"{{{{ ns.v }}}}")


def make_expressions() -> None:
    sources = list(SMALL) + [Program(seed).block(3) for seed in range(RANDOM_PROGRAMS)]
    # jinja2 folds a slice of a literal that has none into undefined; at run time it is an error.
    folded = re.compile(r"(?:none|true|\b1|2\.5)\)*\[[^\]]*:")
    sources = [source for source in sources if not folded.search(source)]
    cases = [{"template": source, **render(source, VARIABLES)} for source in sources]
    # Output that names an address, or that Python writes by the name of a class.
    cases = [c for c in cases if " at 0x" not in c.get("out", "") and "<" not in c.get("out", "")
             or "&lt;" in c.get("out", "") or "<b" in c["template"]]
    write("expressions.json", {"variables": VARIABLES, "cases": cases})


def names_of(conversation: dict, generate: bool) -> dict:
    return {"tools": None, "documents": None, "add_generation_prompt": generate,
            **SPECIAL_TOKENS, **conversation}


def make_conversations() -> None:
    templates = [{"name": name, "source": source,
                  "renderings": [render(source, names_of(c, g)) for c in CONVERSATIONS
                                 for g in (False, True)]}
                 for name, source in TEMPLATES.items()]
    write("conversations.json", {"special_tokens": SPECIAL_TOKENS, "conversations": CONVERSATIONS,
                                 "templates": templates})


def fnv1a(data: bytes) -> str:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def make_real(folder: Path) -> None:
    rows = []
    for path in sorted(folder.glob("*.jinja")):
        source, renderings = path.read_text(), []
        for conversation in CONVERSATIONS:
            for generate in (False, True):
                got = render(source, names_of(conversation, generate))
                if "out" in got:
                    data = got["out"].encode()
                    got = {"length": len(data), "fnv1a": fnv1a(data)}
                renderings.append(got)
        rows.append({"file": path.name, "renderings": renderings})
    write("real_templates.json", rows)


def write(name: str, value) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    (HERE / name).write_text(text + "\n")
    print(name, len(text))


if __name__ == "__main__":
    make_expressions()
    make_conversations()
    if len(sys.argv) > 1:
        make_real(Path(sys.argv[1]))
