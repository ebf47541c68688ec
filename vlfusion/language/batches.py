"""Batches of jobs: group them, read images ahead, work while earlier results are kept, split what fails."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import TypeVar

from vlfusion.errors import ConfigError
from vlfusion.imaging.images import read_image
from vlfusion.language.interfaces import Image
from vlfusion.language.jobs import Job

#: Jobs in one call of a part. Their results are kept while the part works on the next batch.
BATCH = 16
READERS = 2  # threads that read images ahead of the captioners
Item = TypeVar('Item')
#: A job, and the future of each of its images.
Prefetched = tuple[Job, tuple['Future[Image]', ...]]


def batches(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Group consecutive jobs of equal modalities, at most `BATCH` each. Jobs are taken only when they are needed."""
    batch = []
    for job in jobs:
        if len(batch) == BATCH or (batch and job.modalities != batch[0].modalities):
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def read_ahead(jobs: Iterable[Job]) -> Iterator[list[Prefetched]]:
    """Yield batches whose images are read while a captioner works on the batch before."""
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
    """Yield each item with its result. The next batch runs while the caller keeps the results of the last."""
    before, running = [], None
    for batch in groups:
        results = running.result() if running else []  # one batch at a time, so parts need not be thread-safe
        running = _begin(work, batch)
        yield from zip(before, results, strict=True)
        before = batch
    if running:
        yield from zip(before, running.result(), strict=True)


def attempt(work: Callable[[Sequence[Item]], list], items: Sequence[Item]) -> list:
    """Return the results of `work`. If it fails, call it with each item alone; an item that fails gets its error.

    Raises:
        ConfigError: the config is at fault, so every item would fail.
    """
    try:
        return work(items)
    except ConfigError:
        raise
    except Exception as error:  # captioners and LLMs fail in many ways; the other images must not suffer
        return [error] if len(items) == 1 else [result for item in items for result in attempt(work, [item])]


def _begin(work: Callable[[list[Item]], list], batch: list[Item]) -> 'Future[list]':
    """Begin work in a daemon thread, so that the process can end without it."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(work(batch))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future
