"""The shape of the tree: what may stand at the top, and a README of 60 lines at most per room."""

import os

from sources import ROOMS, ROOT, finish, text

TOP = {*ROOMS, "tests", "deploy", "CMakeLists.txt", "README.md", "LICENSE", "CMakePresets.json"}
BUILD_TREES = ("build",)
README_LINES = 60

problems = []
names = sorted(os.listdir(ROOT))
for name in names:
    if name not in TOP and not name.startswith((".", *BUILD_TREES)):
        problems.append(f"{name}: only {', '.join(sorted(TOP))} and dotfiles at the top")
for name in sorted(TOP - {"LICENSE"}):
    if name not in names:
        problems.append(f"{name}: missing at the top")
for room in (*ROOMS, "tests"):
    readme = ROOT / room / "README.md"
    if not readme.exists():
        problems.append(f"{room}/README.md: missing")
    elif (lines := len(text(readme.relative_to(ROOT)).splitlines())) > README_LINES:
        problems.append(f"{room}/README.md: {lines} lines, {README_LINES} at most")
finish(problems, len(names))
