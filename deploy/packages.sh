# shellcheck shell=bash
# The Debian 12 packages that Quire needs, in one place; sourced by deploy/quickstart.sh and
# tests/run.sh.

# To build the daemon.
quire_build_packages=(
  g++
  cmake
  ninja-build
  pkg-config
  libboost1.81-dev
  libspdlog-dev
  nlohmann-json3-dev
  libcli11-dev
  libssl-dev
  libutf8proc-dev
  prometheus-cpp-dev
  libhiredis-dev
)

# To build and run every test as well. clang 16 is for the fuzzers, the formatter and clang-tidy.
quire_test_packages=(
  "${quire_build_packages[@]}"
  catch2
  chromium
  ccache
  clang-16
  clang-format-16
  clang-tidy-16
  libclang-rt-16-dev
  git
  ca-certificates
  python3-venv
  redis-server
)

# Prints those of its arguments that are not installed, one per line.
missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
      grep -qx installed || echo "$package"
  done
}

# Installs what is missing among its arguments; asks nothing and, where all is there, needs no
# network and no rights.
install_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  if ((${#missing[@]} == 0)); then
    echo "==> packages: all $# are installed"
    return
  fi
  local as_root=()
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "error: these packages are missing, and only root can install them: ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "==> packages: installing ${missing[*]}"
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}
