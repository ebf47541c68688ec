"""The flow of many pairs: some threads read ahead of the network, others write behind it."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import DataError, VLFusionError
from vlfusion.imaging.picture import Fused
from vlfusion.system.devices import choose_same_gpu

#: Threads that read ahead of the network, and that write behind it.
READERS = WRITERS = 2


@runtime_checkable
class Named(Protocol):
    """A pair to load, such as `vlfusion.data.pairs.Pair`."""

    name: str


class InMemory(Protocol):
    """A pair in memory. Pairs of one kind can be fused together."""

    @property
    def kind(self) -> Hashable:
        """Size of the images, and which texts and maps there are."""


Loaded = TypeVar('Loaded', bound=InMemory)


@dataclass(frozen=True)
class Steps(Generic[Loaded]):
    """The three steps of a pair.

    Attributes:
        load: function that reads a pair.
        fuse: function that fuses the first of some loaded pairs, as many as memory allows, and at least one.
        finish: function that makes the result of a loaded pair from its output.
    """

    load: Callable[[Named], Loaded]
    fuse: Callable[[Sequence[Loaded]], Float[Tensor, 'batch 1 h w']]
    finish: Callable[[Loaded, Float[Tensor, '1 1 h w']], Fused]

    def of_one(self, pair: Named) -> Fused:
        """Take one pair through the steps, in this thread."""
        loaded = self.load(pair)
        return self.finish(loaded, self.fuse([loaded]))


def flow(pairs: Iterable[Named], steps: Steps, *, batch_size: int = 1,
         failed: Callable[[Named, DataError], None] | None = None) -> Iterator[Fused]:
    """Take many pairs through the steps: `load` and `finish` run in other threads, `fuse` in this thread.

    Memory holds about twice the batch size plus two pairs at a time.

    Args:
        pairs: pairs of any sizes; an iterator gives the next one when there is room for it.
        steps: the steps of a pair.
        batch_size: number of neighbouring pairs of one kind that `fuse` gets at once.
        failed: called with each pair that has faulty data, and with the error; the other pairs go on.

    Returns:
        The results, in the order of the pairs. Without `failed`, and for errors other than faulty data, the error names
        its pair; it is raised after the results of all pairs before it.
    """
    remaining, flights, ahead = iter(pairs), deque(), 2 * batch_size + WRITERS
    readers, writers = (ThreadPoolExecutor(count, initializer=choose_same_gpu()) for count in (READERS, WRITERS))
    try:
        while True:
            while len(flights) < ahead and (pair := next(remaining, None)):
                flights.append(_Flight(pair, readers.submit(steps.load, pair)))
            waiting = [flight for flight in flights if flight.result is None]
            if waiting and (len(waiting) >= batch_size or len(flights) < ahead or waiting[0] is flights[0]):
                _fuse_next(waiting, steps, writers, batch_size)
            elif flights:
                wait([flights[0].result])
            else:
                return
            while flights and flights[0].result and flights[0].result.done():
                flight = flights.popleft()
                try:
                    fused = flight.outcome()
                except DataError as error:
                    if failed is None:
                        raise
                    failed(flight.pair, error)
                else:
                    yield fused
    finally:
        for pool in (readers, writers):
            pool.shutdown(cancel_futures=True)


class _Flight:
    """A pair in the flow: first it is being loaded, then its result or error is on the way."""

    def __init__(self, pair: Named, loading: Future):
        self.pair, self.loading, self.result = pair, loading, None

    def finish(self, result: Future) -> None:
        self.loading, self.result = None, result

    def fail(self, error: Exception) -> None:
        self.finish(Future())
        self.result.set_exception(error)

    def outcome(self) -> Fused:
        """Wait for the result; an error gets the name of the pair."""
        try:
            return self.result.result()
        except VLFusionError as error:
            raise named(error, self.pair) from error
        except Exception as error:
            error.add_note(f'while fusing {self.pair.name}')
            raise


def _fuse_next(waiting: Sequence[_Flight], steps: Steps, writers: ThreadPoolExecutor, batch_size: int) -> None:
    """Fuse the first waiting pair, together with others of its kind."""
    batch, kind = [], None
    for flight in waiting:
        try:
            loaded = flight.loading.result()
        except Exception as error:
            flight.fail(error)
            continue
        kind = loaded.kind if kind is None else kind
        if loaded.kind == kind:
            batch.append((flight, loaded))
        if len(batch) == batch_size:
            break
    if not batch:
        return
    try:
        outputs = steps.fuse([loaded for _, loaded in batch])
    except Exception as error:
        for flight, _ in batch:
            flight.fail(error)
        return
    for (flight, loaded), output in zip(batch, outputs.split(1), strict=False):  # the others wait for the next turn
        flight.finish(writers.submit(steps.finish, loaded, output))


def named(error: VLFusionError, pair: Named) -> VLFusionError:
    """The same error with the name of the pair in front."""
    return type(error)(f'{pair.name}: {error.problem}', error.remedy)
