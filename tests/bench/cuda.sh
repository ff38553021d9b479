#!/usr/bin/env bash
# The CUDA backend on a machine with a GPU: builds the plug-in, its op tests and its benchmarks, runs
# them and prints one table. Needs CUDA 13, CMake, ninja and a C++20 compiler; no other library, no
# network. cuBLASLt is opened where it is there, to check products; where PyTorch is installed its
# products and attention stand beside ours.
#   ./tests/bench/cuda.sh [--build-only] [build folder]
# Exit status 0: every op agrees with the reference and obeys the law.
set -euo pipefail
cd "$(dirname "$0")/../.."
build_only=
if [[ ${1:-} == --build-only ]]; then
  build_only=1
  shift
fi
build=${1:-build/cuda-bench}

cmake -S tests/bench/cuda -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release --log-level=NOTICE
ninja -C "$build"
[[ -z $build_only ]] || exit 0

plugin=$build/libquire_cuda.so
echo "== ops against the reference, and the law"
status=0
timeout 200 "$build/op_tests" "$plugin" || status=$?
echo "== benchmarks, $(date -u +%F), $(nvidia-smi --query-gpu=name --format=csv,noheader | head -1)"
echo "| what | time | figure |"
echo "| --- | --- | --- |"
timeout 200 "$build/benchmarks" "$plugin" || status=$?
if python3 -c 'import torch' 2>/dev/null; then
  timeout 100 python3 tests/bench/cuda/peers.py || status=$?
fi
exit "$status"
