"""Scoring of a fused video, or of numbered fused frames, with the sequences that it was made from."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch

from vlfusion.console.notes import new_run
from vlfusion.data.pairs import Range
from vlfusion.data.sequences import NumberedPictures, frame_rate_of, open_sequences
from vlfusion.errors import DataError
from vlfusion.evaluation.folder import FolderScores, chosen_columns, usable_workers
from vlfusion.evaluation.record import record
from vlfusion.evaluation.rows import Row
from vlfusion.files import file_digest
from vlfusion.guards.ranges import FINITE
from vlfusion.imaging.fit import check_fit, fit_pair
from vlfusion.imaging.protocol import Planes, Protocol, get_protocol, planes_of
from vlfusion.imaging.tasks import get_task
from vlfusion.imaging.video.file import is_video
from vlfusion.imaging.video.frame import Frames
from vlfusion.imaging.video.pairing import Pairing
from vlfusion.metrics.columns import metric_of
from vlfusion.metrics.flicker import BEFORE
from vlfusion.metrics.scoring import DEFAULT_METRICS, score_planes
from vlfusion.metrics.undefined import Undefined
from vlfusion.system.devices import device_of
from vlfusion.system.workers import in_order, one_thread_each

KEYS = ('fused', 'source_a', 'source_b')
#: Metrics of a sequence by default: those of pictures, and the one that compares a frame with the frame before.
SEQUENCE_METRICS = (*DEFAULT_METRICS, 'Flicker')


def score_sequence(fused: str | os.PathLike, source_a: str | os.PathLike, source_b: str | os.PathLike, *,
                   metrics: Sequence[str] | None = None, protocol: str = 'film', task: str | None = None,
                   frame_rate: float | str | Fraction | None = None, offset: float = 0., fit: str = 'refuse',
                   range_a: Range = None, range_b: Range = None, workers: int | None = None, device: str = 'cpu',
                   progress: Callable[[int, int], None] | None = None) -> FolderScores:
    """Score every frame of a fused video, and how it changes from frame to frame.

        scores = vlfusion.score_sequence('fused.mkv', 'ir.mp4', 'vi.mp4', metrics=['VIF', 'Flicker'])
        print(scores.record['summary']['Flicker']['mean'])

    The frames of the sources pair as `vlfusion.fuse_video` pairs them; the n-th fused frame is compared with the n-th
    pair. Give the options with which the video was fused. A codec that loses something adds its own errors; `ffv1`
    loses nothing.

    Args:
        fused: a video, or a folder of numbered pictures.
        source_a, source_b: videos, or folders or patterns of numbered pictures.
        metrics: as for `vlfusion.score_folder`; by default also `Flicker`, which the first frame lacks.
        protocol: a name in `vlfusion.imaging.protocol.PROTOCOLS`.
        task: a name in `vlfusion.imaging.tasks.TASKS`, for the record.
        frame_rate, offset, fit: as for `vlfusion.fuse_video`.
        range_a, range_b: values of the sources that are black and white.
        workers: number of frames to score at once; by default torch's number of threads.
        device: device on which to score.
        progress: called after each frame with the number of frames done and expected.

    Returns:
        Rows named by the number of the frame, and a record; see `FolderScores`.

    Raises:
        DataError: a frame cannot be read, sizes or numbers of frames differ, or a metric does not support the frames.
        ConfigError: an option has an unknown value, or folders need a frame rate.
        UnknownNameError: no metric, or no variant of it, has that name.
    """
    rules, where = get_protocol(protocol), device_of(device, torch.float64)
    check_fit(fit)
    FINITE.check('offset', offset)
    task = get_task(task).name if task else None
    workers = usable_workers(workers)
    columns, optional = chosen_columns(metrics, None, rules, truth=False, maps=BEFORE, default=SEQUENCE_METRICS)
    alone = [column for column in columns if not {*metric_of(column).info.maps} & {*BEFORE}]
    new_run()
    sources = open_sequences({'source A': source_a, 'source B': source_b}, frame_rate_of(frame_rate),
                             dict(range_a=range_a, range_b=range_b))
    # Opened apart, because its numbers are of pairs. Only their order counts, so any rate will do.
    [result] = open_sequences({'the fused video': fused}, None if is_video(fused) else Fraction(1))
    pairing = Pairing(*sources, Fraction(offset).limit_denominator(10 ** 6))

    def score(frame: tuple[int, list[Planes], list[Planes]]) -> tuple[Row, list[Undefined]]:
        number, planes, before = frame
        images = dict(zip((*KEYS, *BEFORE), (plane.to(where) for plane in (*planes, *before)), strict=False))
        name = f'{number:06d}'
        scores, undefined = score_planes(name, images, columns if before else alone, code=rules.code,
                                         optional=optional)
        if not before:
            undefined += [Undefined(name, column, None, ('no frame before it',)) for column in columns
                          if column not in scores]
        return {'name': name, 'protocol': rules.label} | {column: scores.get(column) for column in columns}, undefined

    rows, undefined = [], []
    with closing(_frames(result, pairing, fit, rules)) as frames, one_thread_each(), \
            ThreadPoolExecutor(workers) as pool:
        for done, (row, reasons) in enumerate(in_order(pool, score, frames, 2 * workers), 1):
            rows.append(row)
            undefined += reasons
            if progress:
                progress(done, max(done, pairing.expected or 0))
    inputs = {key: _input(place, frames) for key, place, frames in zip(
        KEYS, (fused, source_a, source_b), (result, *sources), strict=True)}
    for key, source in zip(KEYS[1:], sources, strict=True):
        if str(source.reading):
            inputs[key]['reading'] = str(source.reading)
    return FolderScores(rows, [], undefined, record(rules, columns, rows, task=task, inputs=inputs,
                                                    undefined=undefined))


def _frames(fused: Frames, pairing: Pairing, fit: str,
            rules: Protocol) -> Iterator[tuple[int, list[Planes], list[Planes]]]:
    """Yield the number of each fused frame, its grey levels and its sources', and those of the frame before."""
    before: list[Planes] = []
    names = pairing.frames_a.name, pairing.frames_b.name
    for number, (frame, pair) in enumerate(zip_longest(fused.read(), pairing.pairs()), 1):
        if frame is None or pair is None:
            more, fewer = ('the sources', fused.name) if frame is None else (fused.name, 'the sources')
            raise DataError(f'{fused.name} and its sources differ in length: {fewer} ends after {number - 1} frames or '
                            f'pairs, and {more} goes on.',
                            'Give the sources that were fused, and the --offset and --frame-rate with which they were.')
        images: list[np.ndarray] = [frame.image, *fit_pair(*(half.image for half in pair), fit, names)]
        if images[0].shape[:2] != images[1].shape[:2]:
            sizes = [f'{image.shape[1]}x{image.shape[0]}' for image in images]
            raise DataError(f'{fused.name} is {sizes[0]}, but its sources are {sizes[1]} (width x height).',
                            'Give the sources that were fused, and the --fit with which they were.')
        planes = planes_of(images, rules)
        yield number, planes, before
        before = planes


def _input(place: str | os.PathLike, frames: Frames) -> dict:
    """The origin of a sequence for the record: its place, and the digest of each file."""
    paths = frames.files.values() if isinstance(frames, NumberedPictures) else [Path(place)]
    return {'folder': str(place), 'files': {path.name: file_digest(path) for path in paths}}
