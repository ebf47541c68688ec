"""Work in several threads: results in order, and one torch thread for each worker."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager


def in_order(pool: Executor, function: Callable, items: Iterable, ahead: int) -> Iterator:
    """Yield results in the order of the items, like `pool.map`, but submit at most `ahead` items in advance."""
    waiting = deque()
    for item in items:
        if len(waiting) == ahead:
            yield waiting.popleft().result()
        waiting.append(pool.submit(function, item))
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Limit torch to one thread for each worker: sums are bit-equal only for equal numbers of threads."""
    import torch
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
