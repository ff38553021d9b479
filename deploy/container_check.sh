#!/usr/bin/env bash
# Runs an image as it should be run (read-only root, no capabilities, not root, memory limited), and
# prints its size, the time from the container's start to its first token, and a load.
#   deploy/container_check.sh [SECONDS of load] [CLIENTS] [IMAGE]
# Needs podman and runc (deploy/container_tools.sh) and a `quire` for the load in PATH or build/release.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-180} clients=${2:-256} image=${3:-localhost/quire:cpu}
port=18200 name=quire-check-$$
url=http://127.0.0.1:$port
PATH=$PATH:$PWD/build/release/server

now() { date +%s%N; }
trap 'podman rm --force --time 1 "$name" >/dev/null 2>&1 || true' EXIT

podman image inspect --format '{{.Size}}' "$image" | awk '{ printf "image: %.1f MB\n", $1 / 1e6 }'
begin=$(now)
podman run --detach --name "$name" --runtime runc --network host --no-healthcheck \
  --ulimit nofile=20000:20000 --ulimit nproc=4096:4096 \
  --read-only --cap-drop all --security-opt no-new-privileges --memory 2g \
  --env QUIRE_HOST=127.0.0.1 --env QUIRE_PORT=$port "$image" >/dev/null
until curl -sfN "$url/v1/completions" -H 'Content-Type: application/json' \
  -d '{"prompt":"Once","max_tokens":1}' -o /dev/null; do sleep 0.005; done
echo "first token: $((($(now) - begin) / 1000000)) ms after the start of podman run"
pid=$(podman inspect --format '{{.State.Pid}}' "$name")
awk '/^(Uid|CapEff|CapPrm|NoNewPrivs)/ { print $1, $2 }' "/proc/$pid/status" | paste -sd' '
podman exec "$name" /usr/bin/quire health --url "$url"

rounds=0
end=$((SECONDS + seconds))
while ((SECONDS < end)); do
  quire bench --url "$url" --concurrency "$clients" --num-prompts $((clients * 4)) --input-len 32 \
    --output-len 32 --seed $((rounds += 1)) 2>/dev/null | head -n 3 | paste -sd' '
  # The pipe hides bench's own status: what failed is in its first line.
done | awk -v clients="$clients" '
  { ok += $2; failed += $4; last = $0 }
  END { printf "load: %d clients, %d requests ok, %d failed\n", clients, ok, failed
        exit failed > 0 || ok == 0 }'
awk '/^VmRSS|^VmHWM/ { printf "%s %.0f MB  ", $1, $2 / 1000 } END { print "" }' "/proc/$pid/status"
podman stop --time 40 "$name" >/dev/null
podman inspect --format 'exit status {{.State.ExitCode}}' "$name"
