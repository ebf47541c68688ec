"""The flow of many pairs: threads read ahead of the network, and others write behind it."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from jaxtyping import Float
from torch import Tensor

from vlfusion.data.pairs import Pair
from vlfusion.errors import DataError, VLFusionError
from vlfusion.imaging.picture import Fused

#: Threads that read ahead of the network, and that write behind it.
READERS = WRITERS = 2


class Sized(Protocol):
    """A pair in memory; pairs of one size may be fused together."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""


Loaded = TypeVar('Loaded', bound=Sized)


@dataclass(frozen=True)
class Steps(Generic[Loaded]):
    """The three steps of a pair.

    Attributes:
        load: reads a pair.
        fuse: gives the outputs of the first of some loaded pairs, of at least one: as many as memory allows.
        finish: makes the result of a loaded pair from its output.
    """

    load: Callable[[Pair], Loaded]
    fuse: Callable[[Sequence[Loaded]], Float[Tensor, 'batch 1 h w']]
    finish: Callable[[Loaded, Float[Tensor, '1 1 h w']], Fused]

    def of_one(self, pair: Pair) -> Fused:
        """Take one pair through the steps, in this thread."""
        loaded = self.load(pair)
        return self.finish(loaded, self.fuse([loaded]))


def flow(pairs: Sequence[Pair], steps: Steps, *, batch_size: int = 1,
         failed: Callable[[Pair, DataError], None] | None = None) -> Iterator[Fused]:
    """Take many pairs through the steps: `load` and `finish` run in threads, `fuse` in this one.

    About twice the batch size and two pairs more are in memory at a time.

    Args:
        pairs: of any sizes.
        steps: what happens to each.
        batch_size: pairs of one size, close to each other, that `fuse` is given together.
        failed: called with each pair whose data are at fault, and with the error; the others go on.

    Returns:
        The results, in the order of the pairs. An error that `failed` does not take names its pair, and is raised once
        the results of all pairs before it were given.
    """
    coming, flights, ahead = iter(pairs), deque(), 2 * batch_size + WRITERS
    readers, writers = ThreadPoolExecutor(READERS), ThreadPoolExecutor(WRITERS)
    try:
        while True:
            while len(flights) < ahead and (pair := next(coming, None)):
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
    """A pair on its way: first it is loaded, then there is a result, or an error, to come."""

    def __init__(self, pair: Pair, loading: Future):
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
    """Fuse the first flight that waits, and with it others of its size."""
    batch, size = [], None
    for flight in waiting:
        try:
            loaded = flight.loading.result()
        except Exception as error:
            flight.fail(error)
            continue
        size = size or loaded.size
        if loaded.size == size:
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


def named(error: VLFusionError, pair: Pair) -> VLFusionError:
    """The same error with the name of the pair in front."""
    return type(error)(f'{pair.name}: {error.problem}', error.remedy)
