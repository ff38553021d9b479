"""What the README tells a reader to run is there: each script exists and may be executed, each
preset is one, each flag of `quire` is one that the code knows."""

import json
import os
import re

from sources import ROOT, files, finish, text

FENCE = re.compile(r"^```(?:sh|bash|console|shell)\n(.*?)^```", re.S | re.M)


def check_line(line: str, presets: set[str], server_code: str) -> list[str]:
    problems = []
    for script in re.findall(r"(?:^|\s)\./([\w./-]+)", line):
        path = ROOT / script
        if not script.startswith("build/") and not os.access(path, os.X_OK):
            problems.append(f"{script} is missing or may not be executed")
    for preset in re.findall(r"--preset[= ](\w+)", line):
        if preset not in presets:
            problems.append(f"no preset {preset}")
    if re.search(r"\bquire (?:serve|plan|bench|health)\b|quickstart\.sh", line):
        for flag in re.findall(r"\s--([a-z][a-z-]+)", line):
            if f'"{flag}"' not in server_code and f"--{flag}" not in server_code:
                problems.append(f"no flag --{flag} in server/")
    return problems


readme = text(ROOT / "README.md") if (ROOT / "README.md").exists() else ""
presets = {p["name"] for p in json.loads(text("CMakePresets.json"))["configurePresets"]}
server_code = "".join(text(p) for p in files("server", endings=(".cpp", ".h")))
lines = [line for block in FENCE.findall(readme) for line in block.splitlines()]
found = [f"README.md: {p}" for line in lines for p in check_line(line, presets, server_code)]
finish(found, len(lines))
