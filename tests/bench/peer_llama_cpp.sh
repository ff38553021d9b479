#!/bin/sh
# Builds llama.cpp's server, for serve_compare.py: peer_llama_cpp.sh DIR [JOBS]
#
# The source comes inside the source distribution of the PyPI package llama-cpp-python. DIR, outside
# the repository, gets sdist/, src/, build/bin/llama-server, and venv/ with numpy and gguf, which
# random_llama.py and write_gguf.py want. Needs g++, cmake, ninja, python3-venv, 1 GB of disk and,
# on two cores, a quarter of an hour; a build that was stopped is taken up again.
# PEER_VERSION chooses another version of the package.
set -eu
version=${PEER_VERSION:-0.3.36}
[ $# -ge 1 ] || { sed -n '2,9s/^# //p' "$0"; exit 2; }
mkdir -p "$1"
cd "$1"

if [ ! -x venv/bin/python ]; then
  python3 -m venv venv
  venv/bin/pip install --quiet numpy gguf
fi
if [ ! -f src/vendor/llama.cpp/CMakeLists.txt ]; then
  venv/bin/pip download --quiet --no-deps --no-binary llama-cpp-python -d sdist \
    "llama-cpp-python==$version"
  mkdir -p src
  tar -xzf "sdist/llama_cpp_python-$version.tar.gz" -C src --strip-components=1
fi
# What a plain completion never runs (pictures, sound, chat templates, downloads) fills half of the
# build: unoptimised, in few units. The rest as upstream has it.
tools=src/vendor/llama.cpp/tools/mtmd/CMakeLists.txt
grep -q UNITY_BUILD $tools || cat >>$tools <<'END'
target_compile_options(mtmd PRIVATE -O0)
set_target_properties(mtmd PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 14)
set_source_files_properties(mtmd.cpp mtmd-audio.cpp mtmd-image.cpp mtmd-helper.cpp
  mtmd-helper-gen.cpp clip.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
END
common=src/vendor/llama.cpp/common/CMakeLists.txt
grep -q 'COMPILE_OPTIONS -O0' $common || cat >>$common <<'END'
set_source_files_properties(chat.cpp chat-diff-analyzer.cpp chat-peg-parser.cpp peg-parser.cpp
  json-schema-to-grammar.cpp json-schema.cpp download.cpp hf-cache.cpp preset.cpp
  imatrix-loader.cpp jinja/lexer.cpp jinja/parser.cpp jinja/runtime.cpp jinja/value.cpp
  jinja/string.cpp jinja/caps.cpp PROPERTIES COMPILE_OPTIONS -O0)
END
# g++ 12 sees only eight bytes of what _tile_loadconfig reads and drops the stores to the rest: on a
# processor with AMX the server dies of an illegal instruction (q8_0). The barrier keeps the stores.
amx=src/vendor/llama.cpp/ggml/src/ggml-cpu/amx/mmq.cpp
grep -q 'volatile("" : : "r"(&tc)' $amx || sed -i \
  's/^    _tile_loadconfig(&tc);/    __asm__ volatile("" : : "r"(\&tc) : "memory");\n&/' $amx
# For this very processor; no web page in the server, whose build would download it.
[ -f build/build.ninja ] || cmake -S src/vendor/llama.cpp -B build -G Ninja \
  -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_UI=OFF \
  -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
  -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF >configure.log
nice -n 10 ninja -C build -j "${2:-$(nproc)}" llama-server
echo "$PWD/build/bin/llama-server"
