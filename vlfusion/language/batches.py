"""Batches of jobs: grouped, read ahead, worked on while the results before them are kept, and split where they fail."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import TypeVar

from vlfusion.errors import ConfigError
from vlfusion.imaging.images import read_image
from vlfusion.language.interfaces import Image
from vlfusion.language.jobs import Job

#: Jobs that a part is given at once. Their results are kept while it works on the next.
BATCH = 16
READERS = 2  # threads that read images ahead of the captioners
Item = TypeVar('Item')
#: A job, and where each of its images is being read.
Prefetched = tuple[Job, tuple['Future[Image]', ...]]


def batches(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Group consecutive jobs of the same modalities, at most `BATCH` each; no job is taken before it is needed."""
    batch = []
    for job in jobs:
        if len(batch) == BATCH or (batch and job.modalities != batch[0].modalities):
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def read_ahead(jobs: Iterable[Job]) -> Iterator[list[Prefetched]]:
    """Batches whose images are read while a captioner looks at those before."""
    with ThreadPoolExecutor(READERS) as readers:
        ahead = None
        for batch in batches(jobs):
            reading = [(job, tuple(readers.submit(read_image, image.path, image.reading) for image in job.images))
                       for job in batch]
            if ahead:
                yield ahead
            ahead = reading
        if ahead:
            yield ahead


def overlapped(work: Callable[[Sequence[Item]], list], groups: Iterable[list[Item]]) -> Iterator[tuple[Item, object]]:
    """Each item with its result; the next batch is worked on while the caller keeps the results of the last."""
    before, running = [], None
    for batch in groups:
        results = running.result() if running else []  # one at a time: no part has to be safe for threads
        running = _begin(work, batch)
        yield from zip(before, results, strict=True)
        before = batch
    if running:
        yield from zip(before, running.result(), strict=True)


def attempt(work: Callable[[Sequence[Item]], list], items: Sequence[Item]) -> list:
    """Results of `work`. If it fails, each item is given to it alone; the result is then the error of that item.

    Raises:
        ConfigError: the config is at fault, so that every item would fail.
    """
    try:
        return work(items)
    except ConfigError:
        raise
    except Exception as error:  # a captioner or LLM may fail in any way; the other images must not suffer
        return [error] if len(items) == 1 else [result for item in items for result in attempt(work, [item])]


def _begin(work: Callable[[list[Item]], list], batch: list[Item]) -> 'Future[list]':
    """Begin work in a daemon thread, so that the end of the process need not wait for it."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(work(batch))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future
