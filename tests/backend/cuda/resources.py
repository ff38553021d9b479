"""What the kernels of the plug-in take: no local memory (spills) beyond 64 bytes a thread.

usage: resources.py "OBJECT;OBJECT...". Reads the compiler's own reports, OBJECT.report, which the
build keeps (kernels/keep_report.sh). Kernels that need more stand below, with the reason.
"""

import re
import sys
from pathlib import Path

MOST_LOCAL = 64  # bytes of a thread
# A kernel's mangled name -> bytes, and why.
EXCEPTIONS = {
    r"attention_kernelI\w+?Li256E": (256, "128 registers of output stand beside 32 of scores"),
}
KERNEL = re.compile(r"Compiling entry function '(\S+)' for '(\S+)'.*?(\d+) bytes stack frame"
                    r".*?Used (\d+) registers", re.S)


def most_local(name: str) -> int:
    return next((most for pattern, (most, _) in EXCEPTIONS.items() if re.search(pattern, name)),
                MOST_LOCAL)


kernels = problems = 0
for built in sys.argv[1].split(";"):
    for name, gpu, local, registers in KERNEL.findall(Path(built + ".report").read_text("utf-8")):
        kernels += 1
        too_much = int(local) > most_local(name)
        problems += too_much
        print(f"{gpu} {registers:>4} registers {local:>4} bytes  {name}"
              f"{'  TOO MUCH LOCAL MEMORY' if too_much else ''}")
print(f"{kernels} kernels, {problems} problems")
sys.exit(1 if problems or kernels < 20 else 0)
