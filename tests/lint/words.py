"""Words that must not stand in the repository.

Paths of one machine, names that say nothing, constructs that have broken other servers, and a TODO
without an issue.
"""

import re

from sources import CPP_ENDINGS, ROOMS, files, finish, text

EVERYWHERE = (
    (re.compile(r"(?<![\w.$}])/(?:work|home|root|Users)/\w"), "a path of one machine"),
    (re.compile(r"\b(?:TODO|FIXME|XXX)\b(?!\(#\d+\))"), "a TODO names an issue: TODO(#12)"),
    (re.compile(r'TEST_CASE\(\s*"[^"\n]*[][;]'), "CMake's lists break a test's name at [ ] and ;"),
)
PRODUCT = (
    (re.compile(r"\bstd::w?regex\b"), "std::regex overflows the stack on long input"),
    (re.compile(r"\balloca\s*\("), "no alloca"),
    (re.compile(r"\b(?:sprintf|strcpy|strcat|gets)\s*\("), "an unbounded C string function"),
    (re.compile(r"\b(?:atoi|atof|atol)\s*\("), "a conversion without errors"),
    (re.compile(r"\b(?:class|struct)\s+\w*(?:Helper|Utils?|Impl)\b"), "a name that says nothing"),
    (re.compile(r"\b(?:class|struct)\s+(?:Base\w+|(?!KvCacheManager)\w*Manager)\b"),
     "a name that says nothing"),
    (re.compile(r"\busing namespace std\b"), "using namespace std"),
    (re.compile(r"-ffast-math|-Ofast"), "arithmetic that is not always the same"),
)
TEXT = (*CPP_ENDINGS, ".py", ".sh", ".md", ".txt", ".cmake", ".yaml", ".yml", ".json", "")
THIS = "tests/lint/words.py"
LARGE = 1 << 20  # bytes; weights and tokenizers are not prose


def problems_of(path, rules) -> list[str]:
    source = text(path)
    if len(source) > LARGE:
        return []
    return [
        f"{path}:{source.count(chr(10), 0, match.start()) + 1}: {why}: {match.group(0)}"
        for pattern, why in rules for match in pattern.finditer(source)
    ]


everything = [p for p in files(endings=TEXT) if str(p) != THIS]
product = files(*ROOMS, endings=(*CPP_ENDINGS, ".txt"))
found = [p for path in everything for p in problems_of(path, EVERYWHERE)]
found += [p for path in product for p in problems_of(path, PRODUCT)]
finish(found, len(everything))
