#!/bin/sh
# Runs a compiler and keeps ptxas' report of registers and memory beside the object, as OBJECT.report;
# the rest of what it says is passed on. tests/backend/cuda/resources.py reads the reports.
object=
last=
for word in "$@"; do
  [ "$last" = "-o" ] && object=$word
  last=$word
done
"$@" 2>"$object.report"
status=$?
grep -v -e '^ptxas info' -e 'bytes stack frame' "$object.report" >&2
exit $status
