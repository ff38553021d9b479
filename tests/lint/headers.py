"""Each header of the product compiles alone.

usage: headers.py COMPILER COMPILE_COMMANDS. A header that a source of the build includes before
anything else has shown it already; the others are compiled here, with the include folders of the
build, without code.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from sources import ROOMS, ROOT, files, finish, text

INCLUDE = re.compile(r'^#include ["<]([^">]+)[">]', re.M)


def include_flags(compile_commands: str) -> list[str]:
    """Every include folder that any unit of the build has."""
    flags = []
    with open(compile_commands, encoding="utf-8") as commands:
        for entry in json.load(commands):
            words = iter(shlex.split(entry["command"]))
            for word in words:
                if word == "-isystem":
                    flags.append(f"-isystem{next(words)}")
                elif word.startswith("-I"):
                    flags.append(word)
    return sorted(set(flags))


def shown_by_sources() -> set[str]:
    """What some source includes first, with nothing defined before it."""
    firsts = (INCLUDE.search(text(p)) for p in files(*ROOMS, endings=(".cpp",)))
    return {match.group(1) for match in firsts if match}


def check(command: list[str], header) -> str:
    done = subprocess.run([*command, str(header)], cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"{header} does not compile alone:\n{done.stderr}"


compiler, compile_commands = sys.argv[1:3]
command = [compiler, "-std=c++20", "-fsyntax-only", "-O0", "-w", "-x", "c++",
           '-DQUIRE_VERSION=""', *include_flags(compile_commands)]
headers = files(*ROOMS, endings=(".h",))
shown = shown_by_sources()
compiled = [header for header in headers if str(header) not in shown]
with ThreadPoolExecutor(os.cpu_count()) as pool:
    results = list(pool.map(lambda header: check(command, header), compiled))
print(f"{len(headers) - len(compiled)} are the first include of a source, {len(compiled)} compiled")
finish([r for r in results if r], len(headers))
