#!/usr/bin/env bash
# The CUDA backend on a machine with a GPU: builds the plug-in, its op tests and its benchmarks, runs
# them and prints one table (cuda.md says what its rows mean). Needs CUDA 13, CMake, ninja and a C++20
# compiler; no other library, no network. cuBLASLt is opened where it is there, to check products and
# to stand beside them; where PyTorch is installed its attention and products do, too.
#   ./tests/bench/cuda.sh [--build-only] [build folder]
# At most 10 minutes: what runs out of its time says so and fails. Exit status 0: every op agrees with
# the reference and obeys the law, the sanitizer found nothing, and the benchmarks ran.
# What needs the daemon is in cuda_serve.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
build_only=
if [[ ${1:-} == --build-only ]]; then
  build_only=1
  shift
fi
build=${1:-build/cuda-bench}
export PATH=$PATH:/usr/local/cuda/bin:/usr/local/cuda/compute-sanitizer

cmake -S tests/bench/cuda -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release --log-level=NOTICE
timeout 200 ninja -C "$build"
[[ -z $build_only ]] || exit 0

plugin=$build/libquire_cuda.so
torch=
if python3 -c 'import torch' 2>/dev/null; then torch=1; fi
# PyTorch's packages may bring the cuBLASLt that the toolkit's folder lacks.
libraries=$(python3 -c 'import glob, site
print(":".join(f for s in site.getsitepackages() for f in glob.glob(s + "/nvidia/*/lib")))' || true)
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}${libraries:+:$libraries}

status=0
# run SECONDS COMMAND...: notes a failure and goes on.
run() {
  local seconds=$1 result=0
  shift
  timeout "$seconds" "$@" || result=$?
  [[ $result != 124 ]] || echo "not finished within $seconds s: $*"
  [[ $result == 0 ]] || status=1
}

echo "== ops against the reference, and the law"
run 100 "$build/op_tests" "$plugin"
for tool in memcheck racecheck; do
  echo "== compute-sanitizer, $tool, small op tests"
  if command -v compute-sanitizer >/dev/null; then
    run 60 compute-sanitizer --tool "$tool" --error-exitcode 3 "$build/op_tests" "$plugin" --small
  else
    echo "skipped: no compute-sanitizer"
  fi
done
echo "== benchmarks, $(date -u +%F), $(nvidia-smi --query-gpu=name --format=csv,noheader | head -1)"
run 120 "$build/benchmarks" "$plugin" --rows "$build/rows.tsv"
if [[ -n $torch ]]; then
  run 60 python3 tests/bench/cuda/peers.py "$build/rows.tsv"
else
  echo "skipped: PyTorch's attention and products; no PyTorch"
fi
exit "$status"
