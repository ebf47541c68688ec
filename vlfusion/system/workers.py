"""Work of many threads: results in order, and one thread of torch for each worker."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager


def in_order(pool: Executor, function: Callable, items: Iterable, ahead: int) -> Iterator:
    """The results in the order of the items, of which at most `ahead` are submitted early."""
    waiting = deque()
    for item in items:
        if len(waiting) == ahead:
            yield waiting.popleft().result()
        waiting.append(pool.submit(function, item))
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """One thread of torch for each worker: sums are bit-equal only among equal numbers of threads."""
    import torch
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
