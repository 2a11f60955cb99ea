#!/usr/bin/env bash
# Everything that a GPU has to show, most telling first, in at most MINUTES (10):
#
#     benches/gpu.sh [MINUTES] [--data cifar10-images.tar]      # builds with --features nvrtc, measures, writes docs/gpu.md
#     benches/gpu.sh --bundle gpu.tar.gz [--data …]             # packs what a machine without a network needs
#     benches/gpu.sh --dry-run                                  # tiny sizes on a software Vulkan device, as CI does
#
# A bundle is unpacked and run there: `tar xzf gpu.tar.gz && gpu/benches/gpu.sh 10`. FEATURES (nvrtc) chooses the build's
# features and PYTHON (python3) the interpreter that has PyTorch; without PyTorch there are no peers.
set -euo pipefail
cd "$(dirname "$0")/.."

features="${FEATURES:-nvrtc}" bundle="" data=() rest=()
while [ $# -gt 0 ]; do
  case "$1" in
    --bundle) bundle="$2"; shift 2 ;;
    --data) data=(--data "$2"); shift 2 ;;
    --dry-run) features="${FEATURES:-wgpu}"; rest+=(--dry-run); shift ;;
    *) rest+=("$1"); shift ;;
  esac
done

# In a bundle the programs lie in `bin`. EXPERIMENTS names another program, for a dry run of what is built already.
if [ -n "${EXPERIMENTS:-}" ]; then
  experiments="$EXPERIMENTS" tests="${TESTS:-none}"
elif [ ! -x bin/experiments ]; then
  profile=(--release) folder=release
  case " ${rest[*]} " in *" --dry-run "*) profile=() folder=debug ;; esac
  cargo build "${profile[@]}" -p experiments --features "$features"
  tests="$(cargo test "${profile[@]}" -p experiments --features "$features" --test integration --no-run --message-format=json |
    python3 -c '
import json, sys
for line in sys.stdin:
    made = json.loads(line)
    if made.get("target", {}).get("name") == "integration" and made.get("executable"):
        print(made["executable"])')"
  experiments="${CARGO_TARGET_DIR:-target}/$folder/experiments"
else
  experiments=bin/experiments tests=bin/integration
  [ -e bin/cifar10-images.tar ] && data=(--data bin/cifar10-images.tar)
fi

if [ -n "$bundle" ]; then
  made="$(mktemp -d)"
  trap 'rm -rf "$made"' EXIT
  mkdir -p "$made/gpu/bin" "$made/gpu/docs" "$made/gpu/tests" "$made/gpu/experiments"
  strip -o "$made/gpu/bin/experiments" "$experiments"
  strip -o "$made/gpu/bin/integration" "$tests"
  [ "${#data[@]}" = 0 ] || cp "${data[1]}" "$made/gpu/bin/cifar10-images.tar"
  cp -r benches "$made/gpu/benches"
  cp -r tests/golden "$made/gpu/tests/golden"
  cp -r experiments/scales "$made/gpu/experiments/scales"
  cp -r datasets "$made/gpu/datasets"
  git rev-parse --short HEAD > "$made/gpu/commit"
  tar czf "$bundle" -C "$made" gpu
  ls -l "$bundle"
  exit 0
fi

"${PYTHON:-python3}" benches/peers/gpu.py --binary "$experiments" --tests "$tests" "${data[@]}" "${rest[@]}"
