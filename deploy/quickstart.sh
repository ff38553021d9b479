#!/usr/bin/env bash
# Installs what building needs (Debian 12), builds the daemon and serves the default model on port
# 8000. Arguments are flags of `quire serve`: ./deploy/quickstart.sh --port 9000
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/packages.sh

step() { echo "==> [${SECONDS}s] $*"; }

step "1 of 3: packages"
install_packages "${quire_build_packages[@]}"

step "2 of 3: build (about five minutes on two cores, the first time)"
cmake --preset release -DQUIRE_BUILD_TESTS=OFF --log-level=NOTICE
cmake --build build/release --target quire

step "3 of 3: serve (stop with Ctrl-C)"
binary=$(find build/release -type f -name quire -perm -u+x | head -n 1)
exec "$binary" serve "$@"
