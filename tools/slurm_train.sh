#!/usr/bin/env bash
# Train under Slurm: PARTITION=gpu GPUS=8 tools/slurm_train.sh CONFIG [options of `vlfusion train`]
set -euo pipefail
config=$1; shift
exec srun --partition "${PARTITION:?set PARTITION}" --ntasks "${GPUS:-8}" --ntasks-per-node "${GPUS_PER_NODE:-8}" \
    --gres "gpu:${GPUS_PER_NODE:-8}" --cpus-per-task "${CPUS_PER_TASK:-4}" --kill-on-bad-exit=1 \
    python -u "$(dirname "$0")/train.py" "$config" --launcher slurm "$@"
