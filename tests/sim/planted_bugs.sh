#!/bin/bash
# Proves that the simulator sees what it is there to see: plants each bug of planted_bugs.txt into a
# copy of the tree, one at a time, and expects `sim` to find it. Not a ctest: it compiles each of them.
# Usage: tests/sim/planted_bugs.sh [seeds] [regular expression for names]      Exit status 1 if one was not found.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
seeds=${1:-3000} wanted=${2:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-std=c++20 -O0 -w -D_GLIBCXX_ASSERTIONS -I$work"
units=$(cd "$root" && ls cache/*.cpp scheduler/*.cpp tests/sim/*.cpp)

mkdir -p "$work/proto" "$work/tests"
cp "$root"/proto/{types,check,error}.h "$work/proto/"
cp -r "$root/cache" "$root/scheduler" "$work/"
cp -r "$root/tests/sim" "$work/tests/"

object() { echo "$work/$(echo "$1" | tr / _).o"; }
compile() { c++ $flags -c "$work/$1" -o "$(object "$1")"; }
export work flags
export -f object compile
compile_all() { printf '%s\n' "$@" | xargs -P 2 -I UNIT bash -c 'compile UNIT'; }
# A header's change concerns the units of its room and of the simulator that see it.
units_of() { case $1 in *.cpp) echo "$1" ;; *) echo "$units" ;; esac; }
link_sim() { c++ $(for unit in $units; do object "$unit"; done) -lcrypto -o "$work/sim"; }

compile_all $units || exit 2
link_sim && "$work/sim" --seeds 300 > /dev/null || { echo "the tree itself has a violation"; exit 2; }

found=0 planted=0
while IFS='|' read -r name file change; do
  if [[ $name == '#'* || -z $name || ! $name =~ $wanted ]]; then continue; fi
  file=$(echo $file) planted=$((planted + 1))
  cp "$work/$file" "$work/kept"
  for unit in $(units_of "$file"); do cp "$(object "$unit")" "$(object "$unit").kept"; done
  perl -0pi -e "$change" "$work/$file"
  if cmp -s "$work/$file" "$work/kept"; then echo "DOES NOT APPLY: $name"; continue; fi
  compile_all $(units_of "$file") || exit 2
  link_sim
  timeout 600 "$work/sim" --seeds "$seeds" > /dev/null 2> "$work/said"
  status=$?
  if [ "$status" != 1 ]; then
    echo "NOT FOUND (exit status $status): $name"
  else
    found=$((found + 1))
    seed=$(sed -n 's/.*--first \([0-9]*\).*/\1/p' "$work/said")
    echo "found at seed ${seed:-?}: $name: $(head -1 "$work/said" | sed 's/.*broken invariant at [^ ]*\///')"
  fi
  cp "$work/kept" "$work/$file"
  for unit in $(units_of "$file"); do mv "$(object "$unit").kept" "$(object "$unit")"; done
done < "$root/tests/sim/planted_bugs.txt"
echo "$found of $planted planted bugs found"
[ "$found" = "$planted" ]
