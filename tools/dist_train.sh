#!/usr/bin/env bash
# Train with several processes on one machine: tools/dist_train.sh CONFIG PROCESSES [options of `vlfusion train`]
set -euo pipefail
config=$1; processes=$2; shift 2
exec torchrun --standalone --nproc-per-node "$processes" "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
