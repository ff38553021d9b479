#!/usr/bin/env bash
# Prints the man page: the text of quire.1.in, with each command's flags from the binary's --help.
#   deploy/docs/make_man.sh BINARY >quire.1
set -euo pipefail
binary=$(realpath "$1")
cd "$(dirname "$0")"

# The flags of one command as man's tagged paragraphs.
flags_of() {
  "$binary" "$1" --help | awk '
    function roff(text) { gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text); return text }
    /^  -/ {
      line = substr($0, 3)
      gap = match(line, /  +/)
      name = gap ? substr(line, 1, gap - 1) : line
      text = gap ? substr(line, gap + RLENGTH) : ""
      printf ".TP\n.B %s\n", roff(name)
      if (text != "") print roff(text)
      next
    }
    /^    +[^ ]/ { sub(/^ +/, ""); print roff($0) }'
}

while IFS= read -r line; do
  case $line in
    @FLAGS\ *@)
      command=${line#@FLAGS }
      flags_of "${command%@}"
      ;;
    *@VERSION@*) printf '%s\n' "${line//@VERSION@/$("$binary" --version | grep -oE '[0-9.]+')}" ;;
    *) printf '%s\n' "$line" ;;
  esac
done <quire.1.in
