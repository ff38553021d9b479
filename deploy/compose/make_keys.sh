#!/usr/bin/env bash
# Writes, beside itself, the keys of deploy/compose.yaml: `keys` for the daemon (digests only),
# `key-user` for the load tester and `key-admin` for Prometheus, which reads /metrics, and the secret by
# which replicas name the pages that they share. What is there stays. As root, `keys` and
# `cache-secret` are given to the image's user; else give them yourself.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
if [[ ! -f cache-secret ]]; then
  head -c 32 /dev/urandom >cache-secret
  ((EUID != 0)) || chown 65532:65532 cache-secret
fi
[[ -f keys ]] && exit 0
for name in user admin; do
  key=$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')
  printf '%s' "$key" >"key-$name"
  digest=$(printf '%s' "$key" | sha256sum | cut -d' ' -f1)
  if [[ $name == admin ]]; then echo "$name:$digest:admin"; else echo "$name:$digest"; fi
done >keys.new
mv keys.new keys
chmod 644 key-user key-admin  # read by other users inside their containers
((EUID != 0)) || chown 65532:65532 keys
