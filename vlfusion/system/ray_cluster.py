"""Work on a Ray cluster: results in order from actors that each hold a function, such as one with a model.

Ray is an extra; it is imported when the first work begins. Without a running cluster a local one is started, and
stopped at the end.
"""

import logging
import os
import pickle
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from vlfusion.errors import ConfigError, DataError, VLFusionError, needs

Item = TypeVar('Item')
Result = TypeVar('Result')

#: Variables that workers get from the driver, by the start of their names. Among them are keys.
VARIABLES = ('VLFUSION_', 'HF_', 'OPENAI_', 'SSL_CERT_')
#: Items that an actor has at once: it works on one, and the next one waits there.
DEPTH = 2
#: Actors that an item may bring down before it is given up.
ATTEMPTS = 5
#: Seconds after which a note says that no actor has begun.
PATIENCE = 60
_LOG = logging.getLogger('vlfusion')


class Cluster:
    """A Ray cluster as a place to work: a running one, or a local one that lives as long as the block.

        with Cluster() as cluster:
            vlfusion.fuse('laplacian', 'IR/', 'VI/', 'fused/', cluster=cluster)

    Nothing is started before the first work. All machines must see the same files under the same paths and have
    vlfusion installed in the same version. Environment variables in `VARIABLES` reach the workers inside the message
    that creates an actor: Ray writes the environment of its own `runtime_env` into logs.

    Args:
        address: address of a cluster, as `ray.init` takes it; by default the one that `RAY_ADDRESS` names or that runs
            on this machine, else a new local one.
        workers: number of actors; by default one for each GPU of the cluster if the work runs on GPUs, else one for
            each core.
        modules: modules that workers import first, so that they register their parts.
        variables: names of further environment variables that workers need, such as that of a server's key.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str = 'auto', workers: int | None = None, modules: Collection[str] = (),
                 variables: Collection[str] = ()):
        if workers is not None and workers < 1:
            raise ConfigError(f'Expected at least one worker, but got {workers}.', 'Give a number from 1 on.')
        self.address, self.workers, self.modules, self.variables = address, workers, [*modules], {*variables}
        self._ours = False

    def __enter__(self) -> 'Cluster':
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')  # Ray would report its use to a server
        os.environ.setdefault('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')
        with needs('--ray', 'ray', 'ray'):
            from ray import init  # noqa: F401  # a folder `ray` beside the images can be imported too, but is empty
        return self

    def __exit__(self, *_) -> None:
        if self._ours:
            import ray
            self._ours = False
            with _without_signals():  # a second Ctrl-C must not leave half of the processes
                ray.shutdown()

    def in_order(self, make: Callable[[], Callable[[Sequence[Item]], Sequence[Result]]], items: Iterable[Item], *,
                 chunk: int = 1, gpu: bool = False,
                 lost: Callable[[Item, DataError], Result] | None = None) -> Iterator[Result]:
        """Yield the results of a function in the order of the items.

        Each actor calls `make` once and computes in one torch thread, so results do not depend on the number of
        actors. Items are taken from an iterator when there is room for them. An item whose actor or machine ends is
        done again by another one. The notes that the function logs are logged here, one of each kind.

        Args:
            make: function without arguments that makes the function; a pickle of it goes to the workers. The function
                takes some neighbouring items and returns their results.
            items: items of any number, which can be pickled.
            chunk: number of items that an actor gets at once. If it ends, they come one by one.
            gpu: True to give each actor a GPU.
            lost: called with an item that has brought down `ATTEMPTS` actors; it returns its result. By default the
                error is raised.

        Raises:
            ConfigError: a worker cannot begin: it lacks the folder, a module, or the same version of vlfusion; or
                actors end before they have a result.
            Exception: the error that the function raises, after the results of all chunks before.
        """
        crew = _Crew(self._connect(), self.size(gpu), _Start.here(make, self.modules, self.variables), chunk, gpu)
        return crew.in_order(items, lost)

    def gpus(self) -> int:
        """Number of the cluster's GPUs."""
        return int(self._connect().cluster_resources().get('GPU', 0))

    def size(self, gpu: bool = False) -> int:
        """Number of actors that the cluster is asked for, if each gets a GPU or only a core."""
        return self.workers or max(1, int(self._connect().cluster_resources().get('GPU' if gpu else 'CPU', 1)))

    def share(self, items: int, most: int, gpu: bool = False) -> int:
        """Return a number of items for an actor at once, at most `most`, so that each actor gets several times some."""
        return max(1, min(most, -(-items // (4 * self.size(gpu)))))

    def _connect(self) -> Any:
        import ray
        if ray.is_initialized():
            return ray
        quiet = dict(log_to_driver=False, logging_level=logging.ERROR)
        with _kept_handlers():
            try:
                ray.init(address=self.address, **quiet)
            except ConnectionError as error:
                if 'InvalidAuthToken' in str(error.__cause__):
                    raise ConfigError('The Ray cluster asks for a token, which is missing or another one.',
                                      'Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file of its token '
                                      '(docs/howto/cluster.md).') from error
                if self.address != 'auto' or os.environ.get('RAY_ADDRESS'):
                    raise ConfigError(f'There is no Ray cluster at {os.environ.get("RAY_ADDRESS", self.address)}: '
                                      f'{str(error).splitlines()[0]}', 'Start one (docs/howto/cluster.md), or write '
                                      '--ray alone to use this machine.') from error
                ray.init(address='local', num_cpus=max(self.workers or 0, _cores()), include_dashboard=False, **quiet)
        self._ours = True
        return ray


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


@dataclass(frozen=True)
class _Start:
    """Everything that a worker needs before its first item."""

    make: bytes = field(repr=False)
    folder: str
    variables: Mapping[str, str] = field(repr=False)
    modules: Collection[str]
    version: str

    @classmethod
    def here(cls, make: Callable[[], Callable], modules: Collection[str], variables: Collection[str]) -> '_Start':
        from ray import cloudpickle

        import vlfusion
        chosen = {name: value for name, value in os.environ.items()
                  if name.startswith(VARIABLES) or name in variables or name.lower().endswith('_proxy')}
        return cls(cloudpickle.dumps(make), os.getcwd(), chosen, modules, vlfusion.__version__)

    def function(self) -> Callable:
        """Prepare this process, and make the function."""
        import vlfusion
        os.environ.update(self.variables)
        host = os.uname().nodename if hasattr(os, 'uname') else 'a worker'
        if vlfusion.__version__ != self.version:
            raise ConfigError(f'{host} has vlfusion {vlfusion.__version__}, but this is {self.version}.',
                              'Install the same version on all machines.')
        if not Path(self.folder).is_dir():
            raise ConfigError(f'{host} has no folder {self.folder}.', 'Work in a folder that all machines share.')
        os.chdir(self.folder)
        import torch
        torch.set_num_threads(1)  # before the model is made: sums are bit-equal only for equal numbers of threads
        if self.modules and self.folder not in sys.path:
            sys.path.insert(0, self.folder)
        for module in self.modules:
            import_module(module)
        return pickle.loads(self.make)()


@dataclass
class _Answer:
    """Results or the error of a chunk, or the result of an item; and the notes that were logged, each with its kind."""

    value: Any = None
    error: Exception | None = None
    notes: list[tuple[str, int, str]] = field(default_factory=list)

    def take(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


class _Actor:
    """Hold a function in a process of the cluster."""

    def begin(self, start: _Start) -> _Answer:
        try:
            self.function = start.function()
        except VLFusionError as error:
            return _Answer(error=error)
        except ImportError as error:
            return _Answer(error=ConfigError(f'A worker cannot begin: {error}.',
                                             'Install the same packages on all machines.'))
        return _Answer()

    def work(self, items: Sequence) -> _Answer:
        with _collected() as notes:
            try:
                return _Answer(self.function(items), notes=notes)
            except VLFusionError as error:
                return _Answer(error=error, notes=notes)


@contextmanager
def _collected() -> Iterator[list[tuple[str, int, str]]]:
    """Collect what is logged inside the block."""
    notes = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notes.append((getattr(record, 'kind', record.getMessage()), record.levelno, record.getMessage()))

    handler = Collect(logging.WARNING)
    _LOG.addHandler(handler)
    try:
        yield notes
    finally:
        _LOG.removeHandler(handler)


@dataclass(order=True)
class _Task:
    """A chunk of items, and the place of the first among all items."""

    place: int
    items: Sequence = field(compare=False)


@dataclass(eq=False)
class _Hand:
    """An actor and its calls that are not answered, in order: each with its reference."""

    actor: Any
    beginning: Any
    calls: deque[tuple[Any, _Task]] = field(default_factory=deque)

    @property
    def next_call(self) -> Any:
        """The reference of the call that is answered next, if any."""
        return self.beginning if self.beginning is not None else self.calls[0][0] if self.calls else None


class _Crew:
    """The actors of one run. An actor answers its calls in the order in which they were made."""

    def __init__(self, ray: Any, workers: int, start: _Start, chunk: int, gpu: bool):
        self._ray, self._workers, self._start, self._chunk = ray, workers, start, chunk
        self._actor = ray.remote(_Actor).options(num_cpus=1, num_gpus=int(gpu))
        self._hands: list[_Hand] = []
        self._waiting: list[_Task] = []  # a heap: an item whose actor has ended comes before later ones
        self._deaths: Counter[int] = Counter()
        self._ends, self._taken, self._said = 0, 0, set()
        self._patient_until = time.monotonic() + PATIENCE

    def in_order(self, items: Iterable[Item], lost: Callable[[Item, DataError], Result] | None) -> Iterator[Result]:
        """Yield the results; see `Cluster.in_order`."""
        remaining, answers, turn = iter(items), {}, 0
        try:
            while True:
                # Results wait for earlier ones, and take memory. So items are not taken far ahead of the oldest.
                self._fill(remaining, turn + 4 * DEPTH * self._workers * self._chunk)
                if not self._waiting and not any(hand.calls for hand in self._hands):
                    return
                self._hand_out()
                answers |= self._answers(lost)
                while turn in answers:
                    answer = answers.pop(turn)
                    turn += 1
                    self._log(answer.notes)
                    yield answer.take()
        finally:
            with _without_signals():
                for hand in self._hands:
                    self._ray.kill(hand.actor)

    def _fill(self, remaining: Iterator[Item], end: int) -> None:
        """Take items until each actor finds some; `end` is the first place that must not be taken yet."""
        while self._taken < end and len(self._waiting) < DEPTH * self._workers:
            if not (items := [*islice(remaining, self._chunk)]):
                return
            heappush(self._waiting, _Task(self._taken, items))
            self._taken += len(items)

    def _hand_out(self) -> None:
        """Start actors while there is more work than actors, and give items to those that have room."""
        work = len(self._waiting) + sum(len(hand.calls) for hand in self._hands)
        while len(self._hands) < min(self._workers, work):
            actor = self._actor.remote()
            self._hands.append(_Hand(actor, actor.begin.remote(self._start)))
        for room in range(DEPTH):
            for hand in self._hands:
                if self._waiting and hand.beginning is None and len(hand.calls) == room:
                    task = heappop(self._waiting)
                    hand.calls.append((hand.actor.work.remote(task.items), task))

    def _answers(self, lost: Callable[[Item, DataError], Result] | None) -> dict[int, _Answer]:
        """Wait at most a second, and return the answers that have come by the places of their items."""
        from ray.exceptions import RayError, RayTaskError
        hands = {hand.next_call: hand for hand in self._hands if hand.next_call is not None}
        done, _ = self._ray.wait([*hands], timeout=1)
        if done:
            done, _ = self._ray.wait([*hands], num_returns=len(hands), timeout=0)
        answers = {}
        for call in done:
            hand = hands[call]
            try:
                answer = self._ray.get(call)
            except RayTaskError as error:
                answer = _Answer(error=error.cause if isinstance(error.cause, Exception) else error)
                answer.error.add_note(str(error))
            except RayError as error:  # the actor, its machine or the answer is gone
                answers |= self._bury(hand, error, lost)
                continue
            self._ends = 0
            if hand.beginning is not None:
                answer.take()
                hand.beginning = None
            else:
                _, task = hand.calls.popleft()
                answers |= self._one_by_one(task, answer)
        if time.monotonic() > self._patient_until and all(hand.beginning is not None for hand in self._hands):
            self._log([('waiting', logging.WARNING, 'note: No worker has begun yet. `ray status` shows whether the '
                                                    'cluster has free cores and GPUs.')])
        return answers

    @staticmethod
    def _one_by_one(task: _Task, answer: _Answer) -> dict[int, _Answer]:
        """Divide the answer to a chunk into those to its items; the first one has the notes."""
        if answer.error is not None:
            return {task.place: answer}
        answers = {place: _Answer(value) for place, (_, value) in enumerate(
            zip(task.items, answer.value, strict=True), task.place)}
        answers[task.place].notes = answer.notes
        return answers

    def _bury(self, hand: _Hand, error: Exception, lost: Callable[[Item, DataError], Result] | None
              ) -> dict[int, _Answer]:
        """Put the items of an actor that has ended back, except one that has brought down too many."""
        self._hands.remove(hand)
        self._ray.kill(hand.actor)  # it may be cut off only
        cause = str(error).strip().splitlines()[-1].partition(' Some common causes')[0]
        self._log([('ended', logging.WARNING, f'note: A worker has ended; its work is done again. {cause}')])
        self._ends += 1
        if self._ends > ATTEMPTS + 2 * self._workers:
            raise ConfigError(f'{self._ends} workers have ended without a result: {cause}',
                              'Read the logs of Ray (by default in /tmp/ray/session_latest/logs). If memory was short, '
                              'use fewer workers.') from error
        given_up = {}
        if hand.calls:
            _, task = hand.calls.popleft()  # it was being worked on; those behind it are innocent
            self._deaths[task.place] += len(task.items) == 1
            if self._deaths[task.place] == ATTEMPTS:
                fault = DataError(f'{ATTEMPTS} workers have ended during this work: {cause}',
                                  'If memory was short, use fewer workers.')
                item, = task.items
                given_up[task.place] = _Answer(lost(item, fault)) if lost else _Answer(error=fault)
            else:
                for place, item in enumerate(task.items, task.place):
                    heappush(self._waiting, _Task(place, [item]))
        for _, task in hand.calls:
            heappush(self._waiting, task)
        return given_up

    def _log(self, notes: Iterable[tuple[str, int, str]]) -> None:
        """Log notes, one of each kind."""
        for kind, level, text in notes:
            if kind not in self._said:
                self._said.add(kind)
                _LOG.log(level, '%s', text)


@contextmanager
def _kept_handlers() -> Iterator[None]:
    """Give the program its handlers of signals back, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _without_signals() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM inside the block, which takes seconds: a second one would leave processes behind."""
    with _kept_handlers():
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
        yield
