#!/usr/bin/env bash
# Train the weights that ship, all of them in turn, on one core at the lowest priority. Run it again to continue: if it is
# killed, at most the 10 steps since the last checkpoint are lost. Where no checkpoint of a task lies, it begins with the
# weights that ship.
#
#     tools/train_zoo.sh DATA [MINUTES]          # folder with ivf/ mif/ mef/ mff/; minutes of each turn (default 20)
#     tools/train_zoo.sh DATA --cooldown TASK    # finish the newest checkpoint of a task, to ship it
set -euo pipefail
data=$1 turn=${2:-20}
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
# One thread neither waits for other programs nor makes them wait. Linux divides a busy core between sessions before it
# regards priorities, so the session gets the lowest one too.
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 GOMP_SPINCOUNT=300 HF_HUB_OFFLINE=1
renice -n 19 $$ > /dev/null
{ echo 19 > /proc/$$/autogroup; } 2> /dev/null || true

tasks=${ZOO_TASKS:-mif ivf mff mef guide_mif guide_ivf}  # names of configs/zoo/film_*.py
for task in $tasks; do
    vlfusion describe "configs/zoo/film_$task.py" --cfg-options data_root="$data"
done
if [ "$turn" = --cooldown ]; then
    # Weights in the middle of a long schedule are noisy, because its rate is still high. 200 steps whose rate falls to
    # zero end it early (Haegele et al., NeurIPS 2024). The long run goes on from its own checkpoint.
    out=work_dirs/film_$3_cooldown
    options=(data_root="$data" train_cfg.max_iters=200 optim_wrapper.optimizer.lr=2e-4 param_scheduler.0.end=20
             param_scheduler.1.begin=20 param_scheduler.1.end=200 param_scheduler.1.T_max=180)
    if compgen -G "$out/iter_*.pth" > /dev/null; then
        exec vlfusion train "configs/zoo/film_$3.py" --work-dir "$out" --resume --cfg-options "${options[@]}"
    fi
    newest=$(compgen -G "work_dirs/film_$3/iter_*.pth" | sort -V | tail -1) || true
    exec vlfusion train "configs/zoo/film_$3.py" --work-dir "$out" \
        --cfg-options "${options[@]}" ${newest:+load_from="$newest"}
fi
while [ -n "$tasks" ]; do
    left=
    for task in $tasks; do
        # 124 or 137: the turn is over. An unfinished checkpoint is never left behind.
        code=0
        timeout --signal=KILL "${turn}m" vlfusion train "configs/zoo/film_$task.py" --resume \
            --cfg-options data_root="$data" load_from="film-${task/_/-}" || code=$?
        case $code in
            0) ;;
            124 | 137) left+=" $task" ;;
            *) exit "$code" ;;
        esac
    done
    tasks=$left
done
