"""Scoring a folder of fused images, made by any program, beside the folders of its sources."""

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlfusion import plugins
from vlfusion.console.notes import new_run
from vlfusion.data.pairs import Bands, Range, as_pattern, find_files, read_images
from vlfusion.data.suspicion import note_suspicion
from vlfusion.errors import ConfigError, DataError, listing
from vlfusion.evaluation.controls import control_images
from vlfusion.evaluation.outputs import check_output, output_files
from vlfusion.evaluation.record import record
from vlfusion.evaluation.rows import Row, write_csv
from vlfusion.files import file_digest, write_json
from vlfusion.imaging.protocol import Protocol, get_protocol, planes_of
from vlfusion.imaging.reading.image import too_large
from vlfusion.imaging.reading.rule import AS_STORED, Reading
from vlfusion.imaging.tasks import Task, get_task
from vlfusion.metrics.base import metric_names
from vlfusion.metrics.columns import TRUTH, full_name, metric_of
from vlfusion.metrics.scoring import DEFAULT_METRICS, DEFAULT_TRUTH_METRICS, score_planes
from vlfusion.metrics.undefined import Undefined
from vlfusion.registry import snapshot
from vlfusion.system.devices import device_of
from vlfusion.system.workers import in_order, one_thread_each

Folder = str | os.PathLike


@dataclass(frozen=True)
class FolderScores:
    """The findings of `score_folder`.

    Attributes:
        rows: for each fused image its name, protocol and scores by the metrics' full names (`MI:film`), sorted by name.
        controls: likewise for the control images of each pair; empty where none were asked for.
        undefined: the scores that are not finite or could not be computed, each with its reasons.
        notes: what the user should know of how the files were read.
        record: everything about the run that is worth keeping, as JSON has it.
    """

    rows: list[Row]
    controls: list[Row]
    undefined: list[Undefined]
    record: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        means = ', '.join(f'{metric} {facts["mean"]:.4g}' for metric, facts in self.record['summary'].items())
        return f'<FolderScores: {len(self.rows)} images, protocol {self.record["protocol"]["label"]}; means {means}>'

    def write(self, path: str | os.PathLike) -> list[Path]:
        """Write `STEM.csv`, `STEM.controls.csv` where there are controls, and `STEM.json`, the record.

        Returns:
            the files written.

        Raises:
            ConfigError: the path does not end in `.csv`, or is no place to write to.
            OSError: a file cannot be written.
        """
        check_output(path)
        table, controls, record = output_files(path)
        write_json(record, self.record)
        if self.controls:
            write_csv(controls, self.controls)
        elif controls.is_file() and controls.open(encoding='utf-8').readline().startswith('name,control,'):
            controls.unlink()  # of an earlier run: it would belong to other scores
        write_csv(table, self.rows)
        return [table, *([controls] if self.controls else []), record]


def score_folder(fused: Folder, source_a: Folder, source_b: Folder, truth: Folder | None = None, *,
                 metrics: Sequence[str] | None = None, truth_metrics: Sequence[str] | None = None,
                 protocol: str = 'film', task: str | None = None, range_a: Range = None, range_b: Range = None,
                 page_a: int | None = None, page_b: int | None = None, bands_a: Bands = None, bands_b: Bands = None,
                 controls: bool = False, workers: int | None = None, device: str = 'cpu',
                 progress: Callable[[int, int], None] | None = None) -> FolderScores:
    """Score every image of a folder.

        scores = vlfusion.score_folder('fused', 'TNO/ir', 'TNO/vi', metrics=['VIF', 'MI:tang'])
        scores.write('scores/mine.csv')

    A fused image and its sources share a name, but for a prefix or suffix of all files in a folder. What a file holds
    is scored as it is: 8-bit files are not stretched, nor are those of 16 bits, which are multiplied by 255/65535. Each
    image is scored by one thread, so that scores are bit-equal for every number of workers; as many images are in
    memory as there are workers, with their sources.

    Args:
        fused: the folder, or a pattern such as `out/{name}_fused.*`; see `vlfusion.data.pairs.find_pairs`.
        source_a: likewise, of source A.
        source_b: likewise, of source B.
        truth: likewise, of the images that a perfect fusion would give, if there are such.
        metrics: names in `FUSION_METRICS`, with a variant if need be (`MI:tang`); `all` for every metric; None for
            `DEFAULT_METRICS`. A metric that is not asked for by its name has no score where it cannot be computed,
            such as of images that are too small for it.
        truth_metrics: the same for `TRUTH_METRICS`; None for PSNR and SSIM. Used only with `truth`.
        protocol: a name in `vlfusion.imaging.protocol.PROTOCOLS`.
        task: what kind of fusion it is, for messages and the record: a name in `vlfusion.imaging.tasks.TASKS`.
        range_a: the values of source A that are black and white; see `vlfusion.data.pairs.find_pairs`. Say what the
            images were fused with; the record keeps it.
        range_b: likewise, of source B.
        page_a, page_b, bands_a, bands_b: likewise, the page and the bands of the sources' files.
        controls: whether to score control images as well; see `vlfusion.evaluation.controls`.
        workers: how many images to score at once; None for as many as torch has threads.
        device: where to score.
        progress: called after each image with the number of images done and of all images.

    Raises:
        DataError: lists every image that lacks a partner, cannot be read, is of another size or does not suit a metric
            that was named; or no metric could be computed.
        ConfigError: the protocol, task, device or number of workers is not usable, or no metric is named.
        UnknownNameError: no metric, or no variant of it, has that name.
    """
    chosen = get_protocol(protocol)
    kind = get_task(task) if task else None
    label_a, label_b = (f'source A, {kind.modality_a}', f'source B, {kind.modality_b}') if kind else (
        'source A', 'source B')
    if workers is not None and workers < 1:
        raise ConfigError(f'Expected at least one worker, but got {workers}.', 'Give a number from 1 on.')
    workers = workers or torch.get_num_threads()
    columns = _names(DEFAULT_METRICS if metrics is None else metrics)
    named = [name for name in metrics or () if name != 'all']
    if truth is not None:
        columns += [TRUTH + name for name in _names(truth_metrics or DEFAULT_TRUTH_METRICS, truth=True)]
        named += [TRUTH + name for name in truth_metrics or () if name != 'all']
    if not columns:
        raise ConfigError('There is no metric to score with.', 'Name at least one, such as EN.')
    # Also brings an unknown name to light before any image is read.
    columns = list(dict.fromkeys(full_name(column, chosen.code) for column in columns))
    named = {full_name(column, chosen.code) for column in named}
    rules = {'source_a': Reading.of(range_a, page_a, bands_a), 'source_b': Reading.of(range_b, page_b, bands_b)}
    scorer = _Scorer(columns, chosen, controls, device_of(device, torch.float64), frozenset(columns) - named,
                     (*rules.values(),), kind)
    notes: list[str] = []

    folders = {'the fused folder': fused, label_a: source_a, label_b: source_b}
    if truth is not None:
        folders['the truth'] = truth
    matched = find_files('.', {what: as_pattern(folder) for what, folder in folders.items()}, remedy=(
        'A fused image and its sources share one name, letter case included. Rename or remove what is listed, or say '
        "where the name is in a file's name, as in 'fused/{name}_out.*'."), note=notes.append,
        ranged=[what for what, rule in zip((label_a, label_b), rules.values(), strict=True) if rule.stretch != 'full'])
    new_run()

    found = _score_all(scorer, matched, workers, progress)
    rows = [result.row for result in found.values()]
    if all(row[column] is None for row in rows for column in columns):
        raise DataError(f'No metric could be computed:\n{listing(map(str, next(iter(found.values())).undefined))}',
                        'Score other images, or other metrics.')
    control_rows = [row for result in found.values() for row in result.controls]
    unfinite = [item for result in found.values() for item in result.undefined]
    keys = 'fused', 'source_a', 'source_b', 'truth'
    inputs = {key: {'folder': str(folder), 'files': {name: result.digests[i] for name, result in found.items()}}
              for i, (key, folder) in enumerate(zip(keys, folders.values(), strict=False))}
    for key, rule in rules.items():
        if str(rule):
            inputs[key]['reading'] = str(rule)
    return FolderScores(rows, control_rows, unfinite,
                        record(chosen, columns, rows, task=task, inputs=inputs, controls=control_rows,
                               undefined=unfinite, by_channel=sum(result.by_channel for result in found.values())),
                        notes)


def _score_all(scorer: '_Scorer', matched: Mapping[str, tuple[Path, ...]], workers: int,
               progress: Callable[[int, int], None] | None) -> dict[str, '_Scored']:
    """The scores of every image by its name; raises DataError, which lists all problems, if there is any."""
    found, problems = {}, []
    with one_thread_each(), ThreadPoolExecutor(workers) as pool:
        try:
            if progress:
                progress(0, len(matched))
            results = in_order(pool, scorer, matched.items(), 2 * workers)
            for done, (name, result) in enumerate(zip(matched, results, strict=True), 1):
                if isinstance(result, list):
                    problems += result
                else:
                    found[name] = result
                if progress:
                    progress(done, len(matched))
        except BaseException:  # Ctrl-C too: neither begin another image nor finish this one
            scorer.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if problems:
        many = 's' * (len(problems) > 1)
        raise DataError(f'Nothing was scored, because of {len(problems)} problem{many}:\n'
                        f'{listing(problems, len(problems))}',
                        'Fix or remove the files that are listed, or leave a metric out.')
    return found


@dataclass(frozen=True)
class _Scored:
    row: Row
    controls: list[Row]
    undefined: list[Undefined]
    digests: list[str]
    by_channel: bool


@dataclass(frozen=True)
class _Scorer:
    """Score one image in a worker; once `stop` is set, only look at its files.

    The `optional` columns stay empty where they cannot be computed. `readings` are the rules for source A and source B;
    a note says where they look like something else than those of the `task`.
    """

    columns: Sequence[str]
    protocol: Protocol
    controls: bool
    device: torch.device
    optional: Collection[str] = ()
    readings: tuple[Reading, ...] = ()
    task: Task | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def __call__(self, files: tuple[str, tuple[Path, ...]]) -> _Scored | list[str]:
        """The scores of one image from its files (fused, source A, source B and truth), or what is wrong with them."""
        name, paths = files
        images, problems = read_images(name, paths, (AS_STORED, *self.readings))
        if not problems:
            if self.task:
                note_suspicion(*paths[1:3], *images[1:3], self.task)
            try:
                self._check_size(images[0].shape[:2])
                if not self.stop.is_set():
                    return self._score(name, images, [file_digest(path) for path in paths])
            except DataError as error:
                problems = [f'{name}: {error.problem}']
            except MemoryError:
                problems = [too_large(paths[0], images[0].shape).problem]
        if problems:
            self.stop.set()
        return problems

    def _check_size(self, size: tuple[int, int]) -> None:
        named = [metric_of(column, self.protocol.code) for column in self.columns if column not in self.optional]
        pickiest = max(named, key=lambda metric: metric.info.smallest, default=None)
        if pickiest and min(size) < pickiest.info.smallest:
            blank = torch.zeros(1, 1, *size)
            pickiest(*[blank] * (2 if pickiest.info.over == 'truth' else 3))  # it says what is wrong

    def _score(self, name: str, images: list[np.ndarray], digests: list[str]) -> _Scored | list[str]:
        fused, *others = (planes.to(self.device) for planes in planes_of(images, self.protocol))
        score = partial(score_planes, columns=self.columns, code=self.protocol.code, stop=self.stop,
                        optional=self.optional)
        scores, unfinite = score(name, [fused, *others])
        controls = []
        for control, image in control_images(name, *others[:2]).items() if self.controls else ():
            values, _ = score(name, [image, *others])
            controls.append({'name': name, 'control': control, 'protocol': self.protocol.label} | values)
        return [] if self.stop.is_set() else _Scored(
            {'name': name, 'protocol': self.protocol.label} | scores, controls, unfinite, digests,
            self.protocol.by_channel(images[0]))


def _names(names: Sequence[str], truth: bool = False) -> list[str]:
    """Names of metrics without repetition; `all` stands for every one that is registered."""
    if 'all' in names:
        plugins.load_all(snapshot)
    whole = [metric_names(truth) if name == 'all' else [name] for name in names]
    return list(dict.fromkeys(name for part in whole for name in part))
