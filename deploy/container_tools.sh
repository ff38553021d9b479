#!/usr/bin/env bash
# On Debian 12, as root: installs buildah, podman and runc, and makes the image
# localhost/debian:bookworm-slim by debootstrap, so that images are built without a registry or a
# running engine; `cuda` also makes localhost/debian-cuda of it and of this machine's CUDA compiler
# (CUDA_HOME or /usr/local/cuda). A second run does nothing.
#   deploy/container_tools.sh [cuda]
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/packages.sh

base=localhost/debian:bookworm-slim
install_packages buildah podman runc debootstrap
if ! podman image exists "$base"; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  debootstrap --variant=minbase bookworm "$folder" http://deb.debian.org/debian
  rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
  tar -C "$folder" -c . | podman import - "$base"
  rm -rf "$folder"
  trap - EXIT
fi

[[ ${1:-} == cuda ]] || exit 0
cuda_base=localhost/debian-cuda:bookworm-slim
podman image exists "$cuda_base" && exit 0
# The compiler, its headers and the static runtime: nothing else of a toolkit is needed.
toolkit=$(readlink -f "${CUDA_HOME:-/usr/local/cuda}")
container=$(buildah from "$base")
trap 'buildah rm "$container" >/dev/null' EXIT
for part in bin nvvm include; do
  buildah copy --quiet "$container" "$toolkit/$part" "/usr/local/cuda/$part"
done
buildah copy --quiet "$container" "$toolkit"/lib64/lib{cudart_static,cudadevrt}.a \
  /usr/local/cuda/lib64/
buildah commit --quiet "$container" "$cuda_base"
