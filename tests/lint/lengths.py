"""How long functions and files are: a function of C++ has at most 70 lines.

A small scanner, not a parser: it drops comments and literals, follows braces, and calls function
what has a parameter list and a body outside other functions. File lengths are only reported.
"""

import re
import statistics

from sources import CPP_ENDINGS, ROOMS, files, finish, text

MOST_LINES = 70
LONG_FILE = 400
NOISE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
CONTAINER = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b[^()=]*$")


def blank(match: re.Match) -> str:
    return re.sub(r"[^\n]", " ", match.group(0))


def functions(source: str):
    """Yields (first line, last line, header) of each function body found."""
    code = DIRECTIVE.sub(blank, NOISE.sub(blank, source))
    open_braces = []  # (kind, offset where the header begins, header)
    header_begin = 0
    for match in re.finditer(r"[{};]", code):
        if match.group() == "{":
            header = code[header_begin:match.start()]
            inside_function = any(kind == "function" for kind, _, _ in open_braces)
            kind = "block"
            if not inside_function:
                plain = re.sub(r"template\s*<[^{;]*?>\s*(?=class|struct|union)", "", header)
                kind = "container" if CONTAINER.search(plain) else (
                    "function" if "(" in header else "block")
            begin = header_begin + len(header) - len(header.lstrip())
            open_braces.append((kind, begin, " ".join(header.split())))
        elif match.group() == "}" and open_braces:
            kind, begin, header = open_braces.pop()
            if kind == "function":
                first = code.count("\n", 0, begin) + 1
                yield first, code.count("\n", 0, match.start()) + 1, header
        if not any(kind == "function" for kind, _, _ in open_braces):
            header_begin = match.end()


def main() -> None:
    problems, function_lines, file_lines = [], [], []
    for path in files(*ROOMS, "tests", endings=CPP_ENDINGS):
        source = text(path)
        file_lines.append((len(source.splitlines()), path))
        for first, last, header in functions(source):
            lines = last - first + 1
            function_lines.append(lines)
            if lines > MOST_LINES:
                problems.append(f"{path}:{first}: function of {lines} lines: {header[:60]}")
    for name, values in (("functions", function_lines), ("files", [n for n, _ in file_lines])):
        ranked = sorted(values)
        if ranked:
            print(f"{name}: {len(ranked)}, lines median {statistics.median(ranked):g}, "
                  f"p90 {ranked[len(ranked) * 9 // 10]}, longest {ranked[-1]}")
    for lines, path in sorted(file_lines, reverse=True):
        if lines > LONG_FILE:
            print(f"note: {path} has {lines} lines, {LONG_FILE} is the aim")
    finish(problems, len(function_lines))


if __name__ == "__main__":
    main()
