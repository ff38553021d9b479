#!/usr/bin/env bash
# What needs the daemon, on a machine with a GPU: greedy tokens beside the CPU's, the same answer in
# any company, and a Llama-3-8B with random weights served beside transformers' continuous batching.
# cuda.md says what the rows mean.
#   ./tests/bench/cuda_serve.sh BUNDLE [tokens|same|model|serve|peer]...
# BUNDLE: the folder that cuda_bundle.sh made beforehand. The model, 16 GB, is made on the device by
# PyTorch in $CUDA_MODEL [BUNDLE/model-8b], or taken from there; without PyTorch and transformers the
# stages that need them are skipped with a line. Each stage has a time limit; all of them together 10
# minutes. Exit status 0: no stage that ran failed.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
if [[ ! -x ${1:-}/quire ]]; then
  echo "usage: $0 BUNDLE [tokens|same|model|serve|peer]...; cuda_bundle.sh makes the bundle" >&2
  exit 2
fi
bundle=$(cd "$1" && pwd)
shift
stages=${*:-tokens same model serve peer}
model=${CUDA_MODEL:-$bundle/model-8b}
shape=${CUDA_SHAPE:-8b}
device=${CUDA_TORCH_DEVICE:-cuda}
# IN/OUT/REQUESTS/AT_ONCE: decodes at about 1,024 tokens of context, then the three mixes.
loads=${CUDA_LOADS:-1000/48/8/1 1000/48/32/16 1000/48/64/64 1000/48/256/256 \
128/128/512/256 128/2048/64/64 1000/1000/64/64}

# The trained models of the tree, and of the data beside it where it is there.
trained=(deploy/model)
for folder in ../shared/data/models/stories260K-hf shared/data/models/stories260K-hf; do
  [[ ! -e $folder/config.json ]] || { trained+=("$folder"); break; }
done

status=0
# run SECONDS COMMAND...: notes a failure, which is also its own status.
run() {
  local seconds=$1 result=0
  shift
  timeout "$seconds" "$@" || result=$?
  [[ $result != 124 ]] || echo "not finished within $seconds s: $*"
  [[ $result == 0 ]] || status=1
  return "$result"
}

# A daemon whose plug-in is watched: a copy of the bundle with the watching one in front.
watched=$(mktemp -d)
trap 'rm -rf "$watched"' EXIT
cp -r "$bundle/bin" "$bundle/lib" "$bundle/quire" "$watched/"
mv "$watched/lib/libquire_cuda.so" "$watched/lib/libquire_cuda_real.so"
mv "$watched/lib/watching_plugin.so" "$watched/lib/libquire_cuda.so"

tokens() { run 60 python3 tests/bench/cuda/same_tokens.py "$bundle/quire" "${trained[@]}"; }
same() {
  run 70 "$bundle/same_answer" --model deploy/model --device cuda --requests 100
  run 30 "$bundle/same_answer" --model deploy/model --device cuda --requests 40 \
    --kv-cache-dtype fp8
}
model() {
  if [[ -e $model/model.safetensors ]]; then
    echo "there already: $model"
  elif python3 -c 'import torch' 2>/dev/null; then
    run 90 python3 tests/bench/random_llama.py "$model" --shape "$shape" --torch "$device" ||
      rm -f "$model/model.safetensors"
  else
    echo "skipped: no PyTorch to make the model with"
  fi
}
# shellcheck disable=SC2086  # loads is a list
serve() {
  if [[ ! -e $model/model.safetensors ]]; then
    echo "skipped: no model"
    return
  fi
  run 160 python3 tests/bench/cuda/serve.py "$watched/quire" "$model" $loads
}
# shellcheck disable=SC2086
peer() {
  if [[ ! -e $model/model.safetensors ]] || ! python3 -c 'import transformers' 2>/dev/null; then
    echo "skipped: no model or no transformers"
    return
  fi
  run 180 python3 tests/bench/cuda/peer_transformers.py "$model" $loads --device "$device"
}

for stage in $stages; do
  echo "== $stage, $(date -u +'%F %T')"
  case $stage in
    tokens) tokens ;;
    same) same ;;
    model) model ;;
    serve) serve ;;
    peer) peer ;;
    *)
      echo "no such stage" >&2
      exit 2
      ;;
  esac
done
exit "$status"
