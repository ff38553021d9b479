"""The repository's own files, for the checks in this folder."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("proto", "cache", "scheduler", "engine", "server")
CPP_ENDINGS = (".h", ".cpp", ".inc", ".cuh", ".cu")
_GENERATED = ("build", "__pycache__", "node_modules")


def files(*folders: str, endings: tuple[str, ...] = ()) -> list[Path]:
    """Files under the folders (default: everything), relative to the root, sorted."""
    found = []
    for folder in folders or ("",):
        for here, names, leaves in os.walk(ROOT / folder):
            names[:] = [n for n in names if not n.startswith((".", "build-")) and n not in _GENERATED]
            found += [Path(here, leaf).relative_to(ROOT) for leaf in leaves]
    return sorted(p for p in found if not endings or p.suffix in endings)


def text(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def finish(problems: list[str], checked: int) -> None:
    """Prints the problems and ends the process; a check that saw nothing is a failure."""
    for problem in problems:
        print(problem)
    print(f"{checked} checked, {len(problems)} problems")
    sys.exit(1 if problems or not checked else 0)
