"""Work in several threads: results in order, and one torch thread for each worker."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import repeat, takewhile
from threading import Barrier
from typing import Any


def in_order(pool: Executor, function: Callable, items: Iterable, ahead: int) -> Iterator:
    """Yield results in the order of the items, like `pool.map`, but submit at most `ahead` items in advance.

    Items that have not begun are left out when an error is raised or the iteration ends early.
    """
    waiting = deque()
    try:
        for item in items:
            if len(waiting) == ahead:
                yield waiting.popleft().result()
            waiting.append(pool.submit(function, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:  # after an error, or if the results are wanted no more
            future.cancel()


def read_ahead(items: Iterable, ahead: int, begin: Callable[[], None] | None = None) -> Iterator:
    """Yield items that another thread takes from an iterator, at most `ahead` in advance.

    Args:
        items: items of an iterator, which is used in that thread only.
        ahead: number of items that wait to be yielded.
        begin: called at the start of the thread.
    """
    iterator, end = iter(items), object()
    pool = ThreadPoolExecutor(1, initializer=begin)
    try:
        results = in_order(pool, lambda _: next(iterator, end), repeat(None), ahead)
        yield from takewhile(lambda item: item is not end, results)
    finally:
        pool.shutdown(cancel_futures=True)


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


def side_by_side(function: Callable, items: Sequence) -> Iterator:
    """Yield the results of a computation on the CPU, in order, with as many items at a time as torch has threads.

    By itself torch divides each operation among its threads, which wait for each other at its end. If another program
    keeps a core busy, every operation waits for the slower thread. Here a thread waits for no other, and a sum does not
    depend on the number of threads. The modes of gradients and of autocast are those of the caller.

    Under a profiler or a dispatch mode of torch, such as a counter of operations, which see one thread only, all items
    are computed in the caller's, and so they are where no further thread can be started.
    """
    import torch
    from torch.utils._python_dispatch import is_in_torch_dispatch_mode
    threads = torch.get_num_threads()
    if threads == 1 or len(items) == 1 or is_in_torch_dispatch_mode() or torch.autograd._profiler_enabled():
        return map(function, items)
    try:
        team = _team(threads)
    except RuntimeError:  # no further thread can be started
        return map(function, items)
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    autocast = dict(enabled=torch.is_autocast_enabled('cpu'), dtype=torch.get_autocast_dtype('cpu'))

    def compute(item):
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients), torch.autocast('cpu', **autocast):
            return function(item)

    return in_order(team, compute, items, ahead=2 * threads)


class _Team(ThreadPoolExecutor):
    """Threads that each run torch's operations alone.

    Python's pools take no more work once the main thread has ended. Then the thread that asks computes it.
    """

    def __init__(self, threads: int):
        import torch
        super().__init__(threads, 'vlfusion')
        begun = Barrier(threads + 1)

        def begin() -> None:
            torch.get_num_threads()  # first: at its first question a thread takes the number of the process
            torch.set_num_threads(1)  # of this thread; and of the process, until it is set again below
            begun.wait()

        try:
            for _ in range(threads):
                super().submit(begin)
            begun.wait()
        except BaseException:
            begun.abort()  # the system starts no further thread: those that wait must not wait for it
            raise
        finally:
            torch.set_num_threads(threads)

    def submit(self, function: Callable, item: Any) -> Future:
        try:
            return super().submit(function, item)
        except RuntimeError:
            done = Future()
            done.set_result(function(item))
            return done


_team = cache(_Team)  # one team for each number of threads
if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_team.cache_clear)  # a forked process has none of the threads
