"""Progress of long work on stderr: bars with the remaining time on a terminal, occasional lines elsewhere."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Lock

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from vlfusion.console.verbosity import is_quiet

#: Least seconds between two lines. In long work it is a tenth of the elapsed time, so a week of training prints few.
INTERVAL = 30


class ShowProgress:
    """Show the progress of each step of some work.

        with ShowProgress() as show:
            for done, pair in enumerate(pairs, 1):
                ...
                show('fusing', done, len(pairs))

    A step gets its bar, or its first line, at its first call. Call it with 0 first: then the remaining time is known
    after one piece of work.

    Args:
        quiet: True to show nothing, for example in all processes of a group but the first. With `-q` nothing is shown
            either.
        console: target of the output; stderr by default.
        clock: returns the time in seconds.
    """

    def __init__(self, quiet: bool = False, console: Console | None = None,
                 clock: Callable[[], float] = time.monotonic):
        quiet = quiet or is_quiet()
        self.console = console or Console(stderr=True)
        self.live = self.console.is_interactive and not quiet
        self._lines = not (quiet or self.live)
        # By default rich measures speed over 30 s, which fails if one piece of work takes longer.
        self._bars = Progress(
            TextColumn('{task.description}', markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn('eta'), TimeRemainingColumn(), _Rate(), TextColumn('{task.fields[note]}', markup=False),
            console=self.console, disable=not self.live, speed_estimate_period=math.inf,
            get_time=clock)
        self._tasks: dict[str, TaskID] = {}
        self._last: dict[str, tuple[float, float]] = {}  # time of a step's last line, and the pieces done by then
        self._lock = Lock()

    def __enter__(self) -> 'ShowProgress':
        self._bars.start()
        return self

    def __exit__(self, *_) -> None:
        self._bars.stop()

    def __call__(self, step: str, done: int, total: int, note: str = '', inner: bool = False) -> None:
        """Show a step.

        Args:
            step: name of the step.
            done: number of finished pieces of work.
            total: number of all pieces.
            note: text after the numbers, such as a loss.
            inner: True if the step repeats for each piece of a larger step. Its bar disappears at its end, and it
                prints no first and last line.
        """
        with self._lock:
            if begins := step not in self._tasks:
                for task in self._bars.tasks:
                    self._bars.update(task.id, visible=not task.finished)
                self._tasks[step] = self._bars.add_task(step, total=total, completed=done, note=note)
            task = self._task(step)
            if done < task.completed and (done == 0 or inner):  # the step repeats
                self._bars.reset(task.id, total=total, completed=done)
                begins = True
            done = max(done, task.completed)  # threads may report out of order
            if begins:
                self._bars.advance(task.id, 0)  # starts the measurement of speed
            self._bars.update(task.id, completed=done, total=total, note=note, visible=not inner or done < total)
            if self._lines and total:
                self._line(task, begins, inner)

    def print(self, text: str) -> None:
        """Print a line above the bars, unless `-q` asks for results only."""
        if not is_quiet():
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _task(self, step: str) -> Task:
        return next(task for task in self._bars.tasks if task.id == self._tasks[step])

    def _line(self, task: Task, begins: bool, inner: bool) -> None:
        """Print a line if one is due: at the beginning, at the end, after some time, after a tenth of the work."""
        now = self._bars.get_time()
        last, shown = self._last.get(task.description, (now, 0))
        waited, new = now - last, task.completed - shown
        due = waited >= max(INTERVAL, (task.elapsed or 0) / 10)
        if not inner:
            due = due or begins or task.finished and new or waited >= 1 and new >= task.total / 10
        if due or begins:
            self._last[task.description] = now, task.completed
        if due:
            self.print(_words(task))


def track(items: Sequence, step: str, quiet: bool = False) -> Iterator:
    """Yield the items, and show the progress of the loop over them as one step."""
    total = len(items)
    with ShowProgress(quiet) as show:
        show(step, 0, total)
        for done, item in enumerate(items, 1):
            yield item
            show(step, done, total)


def duration(seconds: float) -> str:
    """Write a time in its two largest units.

    >>> duration(8), duration(1234), duration(10_000), duration(600_000)
    ('8 s', '20 min 34 s', '2 h 46 min', '6 days 22 h')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f'{days} day{"s" * (days > 1)}' if days else '', f'{hours} h' if hours else '',
             f'{minutes} min' if minutes else '', f'{seconds} s' if seconds else '']
    largest = next((place for place, part in enumerate(parts) if part), 3)
    return ' '.join(part for part in parts[largest:largest + 2] if part) or '0 s'


def _words(task: Task) -> str:
    """Describe a step in one line."""
    note = f', {task.fields["note"]}' if task.fields['note'] else ''
    if task.finished:
        took = f' in {duration(task.elapsed)}' if task.elapsed and task.elapsed >= 1 else ''
    else:
        took = '' if task.time_remaining is None else f', about {duration(task.time_remaining)} left'
    return f'{task.description}: {task.completed:,.0f} of {task.total:,.0f}{took}{note}'


class _Rate(ProgressColumn):
    """Pieces per second, or seconds per piece if a piece takes longer than one."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text('')
        return Text(f'{speed:.1f}/s' if speed >= 1 else f'{1 / speed:.1f} s each', style='progress.data.speed')
