"""Progress of training and testing with the remaining time."""

import sys
import time
from collections.abc import Callable

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from vlfusion.console.progress import ShowProgress, duration
from vlfusion.console.verbosity import is_quiet
from vlfusion.engine.compat import screen_handlers
from vlfusion.engine.hooks.summary import summary
from vlfusion.registry import HOOKS
from vlfusion.system.footprint import peak_so_far

#: Number of steps, or of seconds, after which the duration of a training is estimated.
STEPS, SECONDS = 10, 30


@HOOKS.register_module()
class ProgressHook(Hook):
    """Print a summary of the run, its progress, the scores of each validation, and an estimate of its duration.

    Data, text and checkpoint are checked before, so nothing is printed ahead of an error.

    Args:
        report: called with the number of finished steps and of all steps of a training, which then prints nothing.
    """

    priority = 'VERY_LOW'

    def __init__(self, report: Callable[[int, int], object] | None = None) -> None:
        self._report = report
        self._show: ShowProgress | None = None

    def before_train(self, runner) -> None:
        self._open(runner, 'training', runner.iter, runner.max_iters)
        self._steps, self._began, self._estimated = 0, 0.0, False

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        if self._report:
            self._report(runner.iter + 1, runner.max_iters)
        if not self._show:
            return
        done = runner.iter + 1
        loss = f'loss {torch.as_tensor(outputs["loss"]).item():.4f}' if outputs and 'loss' in outputs else ''
        self._show('training', done, runner.max_iters, loss)
        if self._estimated:
            return
        self._steps += 1
        if self._steps == 1:  # the first step also loads and compiles, so it does not count
            self._began = time.monotonic()
            return
        seconds = time.monotonic() - self._began
        if self._steps > STEPS or seconds > SECONDS:
            self._estimated = True
            if left := runner.max_iters - done:
                each = seconds / (self._steps - 1)
                memory = peak_so_far(next(runner.model.parameters()).device)
                self._show.print(f'A step takes about {each:.2g} s, so the remaining {left:,} steps take about '
                                 f'{duration(each * left)}, without validation.'
                                 + (f' Memory so far: {memory / 1e9:.1f} GB.' if memory else ''))

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        if self._show and metrics:
            scores = '  '.join(f'{name} {value:.4g}' for name, value in metrics.items())
            self._show.print(f'Validation after step {runner.iter:,}: {scores}')

    def after_train(self, runner) -> None:
        self._close(runner)

    def before_test(self, runner) -> None:
        self._open(runner, 'testing', 0, len(runner.test_dataloader))

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self._show:
            self._show('testing', batch_idx + 1, len(runner.test_dataloader))

    def after_test(self, runner) -> None:
        self._close(runner)

    def _open(self, runner, step: str, done: int, total: int) -> None:
        if is_main_process() and not self._report:
            if not is_quiet():
                print('\n'.join(summary(runner, step)), flush=True)
            self._show = ShowProgress().__enter__()
            self._show(step, done, total)
            self._point_logs_at_stderr(runner)

    def _close(self, runner) -> None:
        if self._show:
            self._show.__exit__()
            self._show = None
            self._point_logs_at_stderr(runner)

    @staticmethod
    def _point_logs_at_stderr(runner) -> None:
        # While a bar is shown, rich replaces sys.stderr by its own stream, and log lines must go through it.
        for handler in screen_handlers(runner.logger):
            handler.setStream(sys.stderr)
