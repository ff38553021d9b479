"""clang-tidy over the product's sources, as many at a time as there are processors.

usage: tidy.py CLANG_TIDY BUILD_FOLDER [part of a path ...]. The checks are those of .clang-tidy;
findings of the compiler's own flags are left to the compiler, and what the analyzer finds inside a
library's headers to the library.
"""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sources import ROOMS, ROOT, finish


def product_sources(build: Path) -> list[str]:
    entries = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    sources = {os.path.relpath(entry["file"], ROOT) for entry in entries}
    return sorted(s for s in sources if s.split("/")[0] in ROOMS and s.endswith(".cpp"))


def tidy(clang_tidy: str, build: Path, source: str) -> str:
    begin = time.monotonic()
    done = subprocess.run([clang_tidy, "--quiet", "-p", str(build), "--extra-arg=-Wno-everything",
                           source], cwd=ROOT, capture_output=True, text=True)
    print(f"{source}: {time.monotonic() - begin:.1f} s", flush=True)
    if not done.returncode:
        return ""
    found = [line for line in done.stdout.splitlines() if ": error:" in line]
    elsewhere = found and not any(line.startswith(str(ROOT)) for line in found)
    return "" if elsewhere else done.stdout or done.stderr


clang_tidy, build = sys.argv[1], Path(sys.argv[2])
wanted = sys.argv[3:]
sources = [s for s in product_sources(build) if not wanted or any(w in s for w in wanted)]
with ThreadPoolExecutor(os.cpu_count()) as pool:
    results = list(pool.map(lambda source: tidy(clang_tidy, build, source), sources))
finish([r for r in results if r], len(sources))
