#!/usr/bin/env bash
# On Debian 12, as root: installs buildah, podman and runc, and makes the image
# localhost/debian:bookworm-slim by debootstrap, so that images are built without a registry or a
# running engine. A second run does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/packages.sh

base=localhost/debian:bookworm-slim
install_packages buildah podman runc debootstrap
podman image exists "$base" && exit 0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase bookworm "$folder" http://deb.debian.org/debian
rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
tar -C "$folder" -c . | podman import - "$base"
