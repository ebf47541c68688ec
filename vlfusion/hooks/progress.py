"""A progress bar with the time that remains, for training and testing."""

import logging
import sys

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vlfusion.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows a bar on a terminal; elsewhere MMEngine's log lines, which carry an ETA too, tell the same."""

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def before_train(self, runner) -> None:
        self._open(runner, 'training', runner.max_iters, runner.iter)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        if self._bar:
            loss = f'loss {float(outputs["loss"]):.4f}' if outputs and 'loss' in outputs else ''
            self._bar.update(self._task, completed=runner.iter + 1, note=loss)

    def after_train(self, runner) -> None:
        self._close(runner)

    def before_test(self, runner) -> None:
        self._open(runner, 'testing', len(runner.test_dataloader), 0)

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self._bar:
            self._bar.update(self._task, completed=batch_idx + 1)

    def after_test(self, runner) -> None:
        self._close(runner)

    def _open(self, runner, title: str, total: int, done: int) -> None:
        console = Console(stderr=True)
        if not (is_main_process() and console.is_terminal):
            return
        columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TextColumn('eta'), TimeRemainingColumn(), TextColumn('{task.fields[note]}'))
        self._bar = Progress(*columns, console=console)
        self._bar.start()
        self._task = self._bar.add_task(title, total=total, completed=done, note='')
        self._point_logs_at_stderr(runner)

    def _close(self, runner) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None
            self._point_logs_at_stderr(runner)

    @staticmethod
    def _point_logs_at_stderr(runner) -> None:
        # While a bar is up rich puts its own stream in place of sys.stderr; log lines must go through it.
        for handler in runner.logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.setStream(sys.stderr)
