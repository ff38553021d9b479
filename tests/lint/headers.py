"""Each header of the product compiles alone.

usage: headers.py COMPILER COMPILE_COMMANDS. The flags are those of the build (include folders and
language), without optimisation and without code.
"""

import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from sources import ROOMS, ROOT, files, finish


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


def check(command: list[str], header) -> str:
    done = subprocess.run([*command, str(header)], cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"{header} does not compile alone:\n{done.stderr}"


compiler, compile_commands = sys.argv[1:3]
command = [compiler, "-std=c++20", "-fsyntax-only", "-O0", "-w", "-x", "c++",
           '-DQUIRE_VERSION=""', *include_flags(compile_commands)]
headers = files(*ROOMS, endings=(".h",))
with ThreadPoolExecutor(os.cpu_count()) as pool:
    results = list(pool.map(lambda header: check(command, header), headers))
finish([r for r in results if r], len(headers))
