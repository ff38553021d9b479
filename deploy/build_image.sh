#!/usr/bin/env bash
# Builds an image as buildah does without an engine or user namespaces; deploy/container_tools.sh [cuda]
# brings it and what it builds on.
#   deploy/build_image.sh [cpu|cuda] [NAME]
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-cpu}
case $kind in
  cpu) file=deploy/Dockerfile base=(--build-arg BASE=localhost/debian:bookworm-slim) ;;
  cuda) file=deploy/Dockerfile.cuda base=(--build-arg BASE=localhost/debian-cuda:bookworm-slim) ;;
  *) echo "usage: $0 [cpu|cuda] [NAME]" >&2 && exit 2 ;;
esac
name=${2:-localhost/quire:$kind}
buildah bud --isolation chroot --network host --format docker "${base[@]}" \
  --build-arg REVISION="$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" \
  -t "$name" -f "$file" .
buildah images "$name"
