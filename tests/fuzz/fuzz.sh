#!/usr/bin/env bash
# Fuzzes one target, starting from its committed seeds; new finds stay in build/fuzz/corpus.
#   tests/fuzz/fuzz.sh <name> [seconds] [binary] [seed]
# The smoke run gives a seed, so that what passed today passes tomorrow; without one, or with 0, every
# run looks elsewhere.
# An input that fails is written to build/fuzz/crashes; add it to tests/fuzz/corpus/<name> with the
# mend.
set -euo pipefail
cd "$(dirname "$0")/../.."

name=${1:?name of a target, such as http}
seconds=${2:-600}
binary=${3:-$(find build/fuzz -type f -name "fuzz_$name" | head -n 1)}
seed=${4:-0}
[[ -x $binary ]] || { echo "error: fuzz_$name is not built: cmake --preset fuzz" >&2; exit 1; }

# Slow and hungry inputs are failures too.
mkdir -p "build/fuzz/corpus/$name" build/fuzz/crashes
exec "$binary" -seed="$seed" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -max_len=65536 \
  -print_final_stats=1 -verbosity=1 -artifact_prefix="build/fuzz/crashes/$name-" \
  "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name"
