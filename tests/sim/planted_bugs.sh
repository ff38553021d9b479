#!/bin/bash
# Proves that the simulator sees what it is there to see: plants each bug of planted_bugs.txt and
# planted_by_another.txt into the tree, one at a time, and expects `sim` to find it. Not a ctest: it
# compiles each of them, though only the units that see the changed file.
# Usage: tests/sim/planted_bugs.sh [seeds] [regular expression for names]
# Exit status 1 if one was not found or changes nothing.
# JOBS: how many at once. RUN: a command to run each of them under. OUT: a folder for the results.
set -u
tree=$(cd "$(dirname "$0")/../.." && pwd)
seeds=${1:-3000} wanted=${2:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/source  # what is edited meanwhile does not count
mkdir -p "$root/tests" "$root/proto" "$work/tree"
cp "$tree"/proto/*.h "$root/proto/" && cp -r "$tree/cache" "$tree/scheduler" "$root/" && cp -r "$tree/tests/sim" "$root/tests/"
out=${OUT:-$work/out} compiler=c++
command -v ccache > /dev/null && compiler="ccache c++"
flags="-std=c++20 -O1 -w -D_GLIBCXX_ASSERTIONS"
units=$(cd "$root" && ls cache/*.cpp scheduler/*.cpp tests/sim/*.cpp)
export root work out flags compiler units seeds
# Freed memory is filled, so that who reads it still reads something else.
export MALLOC_PERTURB_=165

object() { echo "$1/$(echo "$2" | tr / _).o"; }
# compile FOLDER UNIT: a file that FOLDER has goes before the tree's.
compile() {
  local source=$root/$2
  [ -e "$1/$2" ] && source=$1/$2
  $compiler $flags -I"$1" -I"$root" -MD -c "$source" -o "$(object "$1" "$2")"
}
link_sim() {
  local objects=() unit
  for unit in $units; do
    if [ -e "$(object "$1" "$unit")" ]; then objects+=("$(object "$1" "$unit")"); continue; fi
    objects+=("$(object "$work/tree" "$unit")")
  done
  c++ "${objects[@]}" -lcrypto -o "$1/sim"
}
# Those that see the file, by what the compiler said.
units_of() {
  local unit
  for unit in $units; do
    local said=$(object "$work/tree" "$unit")
    grep -qE "(^|[ /])$1( |$)" "${said%.o}.d" && echo "$unit"
  done
}
# plant N LINE: one bug, in a folder of its own; one line of result.
plant() {
  local number=$1 name file change folder=$work/$1 unit
  IFS='|' read -r name file change <<< "$2"
  name=${name% } file=$(echo $file)
  mkdir -p "$folder/$(dirname "$file")"
  cp "$root/$file" "$folder/$file"
  perl -0pi -e "$change" "$folder/$file"
  if cmp -s "$root/$file" "$folder/$file"; then echo "DOES NOT APPLY: $name"; return; fi
  for unit in $(units_of "$file"); do
    compile "$folder" "$unit" 2> "$folder/said" || { echo "DOES NOT COMPILE: $name: $(head -1 "$folder/said")"; return; }
  done
  link_sim "$folder"
  timeout 600 "$folder/sim" --seeds "$seeds" > /dev/null 2> "$folder/said"
  local status=$?
  if [ "$status" != 1 ]; then
    echo "NOT FOUND (exit status $status): $name"
  else
    local steps=$(sed -n 's/.*VIOLATION within \([0-9]*\) steps.*/\1/p' "$folder/said")
    echo "found within ${steps:-?} steps: $name: $(head -1 "$folder/said" | sed 's/.*broken invariant at [^ ]*\///')"
  fi
  rm -rf "$folder"
}
export -f object compile link_sim units_of plant

mkdir -p "$out"
compile_tree() { printf '%s\n' $units | xargs -P "${JOBS:-2}" -I UNIT bash -c 'compile "$work/tree" UNIT'; }
export -f compile_tree
${RUN:-} bash -c compile_tree || exit 2
link_sim "$work/tree" && "$work/tree/sim" --seeds 300 > /dev/null || { echo "the tree itself has a violation"; exit 2; }

number=0
: > "$work/list"
for half in planted_bugs planted_by_another; do
  while IFS= read -r line; do
    if [[ $line == '#'* || -z $line || ! ${line%%|*} =~ $wanted ]]; then continue; fi
    number=$((number + 1))
    printf '%s' "$line" > "$work/bug.$number"
    echo "$half:$number" >> "$work/list"
  done < "$root/tests/sim/$half.txt"
done
: > "$out/planted_bugs" && : > "$out/planted_by_another"
plant_all() {
  local bug
  for bug in "$@"; do plant "${bug#*:}" "$(cat "$work/bug.${bug#*:}")" | tee -a "$out/${bug%:*}"; done
}
export -f plant_all
xargs -P "${JOBS:-2}" -n 6 ${RUN:-} bash -c 'plant_all "$@"' _ < "$work/list"

missed=0
for half in planted_bugs planted_by_another; do
  all=$(wc -l < "$out/$half") found=$(grep -c '^found' "$out/$half")
  missed=$((missed + all - found))
  most=$(sed -n 's/^found within \([0-9]*\).*/\1/p' "$out/$half" | sort -n | tail -1)
  echo "$half: $found of $all found, each within ${most:-0} steps"
done
[ "$missed" = 0 ]
