"""Every file of C++ is as clang-format leaves it. usage: format.py CLANG_FORMAT"""

import subprocess
import sys

from sources import CPP_ENDINGS, ROOMS, ROOT, files, finish

sources = [str(p) for p in files(*ROOMS, "tests", "deploy", endings=CPP_ENDINGS)]
done = subprocess.run([sys.argv[1], "--dry-run", "--Werror", "--ferror-limit=1", *sources],
                      cwd=ROOT, capture_output=True, text=True)
problems = [line for line in done.stderr.splitlines() if "error:" in line]
if done.returncode and not problems:
    problems = [done.stderr]
finish(problems, len(sources))
