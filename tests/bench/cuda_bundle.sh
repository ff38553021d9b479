#!/usr/bin/env bash
# A folder with which the daemon runs on a machine that has none of its libraries: the daemon and
# same_answer with every library that ldd lists, the C library and its loader included (the machine's
# may be older), the CUDA plug-in, and the plug-in that watches it. For cuda_serve.sh.
#   ./tests/bench/cuda_bundle.sh FOLDER [release build] [build folder of cuda.sh --build-only]
# FOLDER/quire and FOLDER/same_answer start them. Run nothing else of this folder by hand: the
# programs in bin/ want the loader in lib/.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [[ $# -lt 1 ]]; then
  echo "usage: $0 FOLDER [release build] [build folder of cuda.sh]" >&2
  exit 2
fi
folder=$1
release=${2:-build/release}
cuda=${3:-build/cuda-bench}

rm -rf "${folder:?}/bin" "${folder:?}/lib"
mkdir -p "$folder/bin" "$folder/lib"
programs=("$release/server/quire" "$release/tests/e2e/same_answer")
for program in "${programs[@]}"; do
  strip -o "$folder/bin/$(basename "$program")" "$program"
done
# Lines of ldd: "name => path (address)", and "path (address)" for the loader.
ldd "${programs[@]}" "$cuda/libquire_cuda.so" "$cuda/watching_plugin.so" |
  awk '$2 == "=>" && $3 ~ /^\// {print $3} $1 ~ /^\// && $2 ~ /^\(/ {print $1}' | sort -u |
  while read -r library; do cp -L "$library" "$folder/lib/"; done
# What the driver's libcuda.so wants beside them, of the same C library.
system=$(dirname "$(ldd "${programs[0]}" | awk '$1 == "libc.so.6" {print $3}')")
for name in libdl.so.2 libpthread.so.0 librt.so.1; do cp -L "$system/$name" "$folder/lib/"; done
cp "$cuda/libquire_cuda.so" "$cuda/watching_plugin.so" "$folder/lib/"

# The plug-in is looked for beside the program, which is the loader here: in lib/.
for program in quire same_answer; do
  cat >"$folder/$program" <<'WRAPPER'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/lib/ld-linux-x86-64.so.2" \
  --library-path "$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
  "$here/bin/$(basename "$0")" "$@"
WRAPPER
  chmod +x "$folder/$program"
done
"$folder/quire" --version
du -sh "$folder"
