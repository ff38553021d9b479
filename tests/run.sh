#!/usr/bin/env bash
# Installs what the tests need (Debian 12), builds, and runs every test: unit, end to end, lint,
# fuzz corpora; then the same under ASan+UBSan and TSan, and a smoke run of the fuzzers.
#   ./tests/run.sh          everything
#   ./tests/run.sh --quick  the release build's tests only
# TEST_MINUTES=66: on a machine of which nobody knows how fast it is. A sanitizer's build that is
# not done in half of that is left out, and said so; the release build and its tests are never left out.
# All builds are tested in one ctest run, whose summary ends the output. Exit status 0: all passed.
set -uo pipefail
cd "$(dirname "$0")/.."
source deploy/packages.sh

builds=(release asan tsan fuzz)
case "${1:-}" in
  "") ;;
  --quick) builds=(release) ;;
  *)
    echo "usage: $0 [--quick]" >&2
    exit 2
    ;;
esac

step() { echo "==> [$((SECONDS / 60))m$((SECONDS % 60))s] $*"; }

# The virtual environment is made anew only when the pinned list changes.
make_venv() {
  local wanted=tests/e2e/requirements.txt stamp=build/venv/requirements.txt
  cmp -s "$wanted" "$stamp" && return
  rm -rf build/venv
  python3 -m venv build/venv &&
    build/venv/bin/pip install --quiet --disable-pip-version-check --only-binary :all: \
      --requirement "$wanted" &&
    cp "$wanted" "$stamp"
}

# One ctest over all build trees: a directory whose only content is their names.
write_test_list() {
  mkdir -p build/all
  local build
  for build in "${tested[@]}"; do
    echo "subdirs(\"$PWD/build/$build\")"
  done >build/all/CTestTestfile.cmake
}

failed=() left_out=()

step "packages"
install_packages "${quire_test_packages[@]}" || exit 1

step "python environment for the end-to-end tests"
make_venv || exit 1

# Seconds that are left for building: a number for timeout(1), whose 0 is no limit.
seconds_to_build() {
  [[ -n ${TEST_MINUTES:-} ]] || { echo 0; return; }
  local left=$((TEST_MINUTES * 30 - SECONDS))
  echo $((left > 1 ? left : 1))
}

configure_and_build() {
  local build=$1 options=() target=all limit=0
  [[ $build == release ]] && options=(-DQUIRE_BUILD_TESTS=ON) || limit=$(seconds_to_build)
  [[ $build == fuzz ]] && target=fuzzers
  cmake --preset "$build" "${options[@]}" --log-level=NOTICE &&
    timeout "$limit" cmake --build "build/$build" --target "$target" -- -k 0
}

# A tree that does not build does not stop the others: its tests count as failed, and so does the
# run.
tested=()
for build in "${builds[@]}"; do
  step "build: $build"
  configure_and_build "$build"
  case $? in
    0) tested+=("$build") ;;
    124) left_out+=("$build") ;;
    *)
      tested+=("$build")
      failed+=("build of $build")
      ;;
  esac
done

((${#left_out[@]} == 0)) || step "LEFT OUT, not built in the time given: ${left_out[*]}"
((${#failed[@]} == 0)) || step "FAILED: ${failed[*]}; testing what was built" >&2

step "tests"
write_test_list
ctest --test-dir build/all --output-on-failure --no-tests=error --parallel "$(nproc)" ||
  failed+=("tests")
((${#failed[@]} == 0))
