"""The arrows between rooms: server -> engine -> scheduler -> cache -> proto, one way.

Any room may include the rooms after it; nothing includes server/; tests/ may include everything.
Libraries are held in their rooms as well: sockets and logging in server/ alone, JSON away from
cache/ and scheduler/, and those two without threads, clocks of their own, files or streams.
"""

import re

from sources import CPP_ENDINGS, ROOMS, files, finish, text

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)

# Room -> what it must not include, as beginnings of the included path.
PURE = ("boost/", "spdlog/", "fmt/", "nlohmann/", "CLI/", "thread", "mutex", "condition_variable",
        "atomic", "future", "fstream", "iostream", "filesystem", "unistd.h", "sys/", "pthread.h")
FORBIDDEN = {
    "proto": ("boost/", "spdlog/", "fmt/", "CLI/", "thread", "mutex", "fstream", "iostream",
              "unistd.h", "sys/"),
    "cache": PURE,
    "scheduler": PURE,
    "engine": ("boost/", "spdlog/", "fmt/", "CLI/"),
    "server": (),
}


def allowed_rooms(room: str) -> tuple[str, ...]:
    return ROOMS[: ROOMS.index(room) + 1]


def is_forbidden(included: str, beginnings: tuple[str, ...]) -> bool:
    return any(included == b or (b.endswith("/") and included.startswith(b)) for b in beginnings)


def problems_of(path) -> list[str]:
    room = path.parts[0]
    source = text(path)
    found = []
    for match in INCLUDE.finditer(source):
        included = match.group(1)
        where = f"{path}:{source.count(chr(10), 0, match.start()) + 1}"
        target = included.split("/")[0]
        if target == "tests":
            found.append(f"{where}: product code includes {included}")
        elif target in ROOMS and target not in allowed_rooms(room):
            found.append(f"{where}: {room}/ must not include {included}")
        elif room == "server" and target in ("scheduler", "cache") and not included.endswith(
                "/options.h"):
            found.append(f"{where}: server/ includes engine/, proto/ and options.h only: {included}")
        elif is_forbidden(included, FORBIDDEN[room]):
            found.append(f"{where}: {room}/ must not use <{included}>")
        elif "/../" in included or included.startswith("../"):
            found.append(f"{where}: the include root is the repository root: {included}")
    return found


sources = files(*ROOMS, endings=CPP_ENDINGS)
finish([p for path in sources for p in problems_of(path)], len(sources))
