"""Scoring of a folder of fused images from any program, with the folders of their sources."""

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlfusion import plugins
from vlfusion.console.notes import new_run
from vlfusion.data.names import require_keywords
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
from vlfusion.metrics.scoring import DEFAULT_METRICS, DEFAULT_TRUTH_METRICS, PAIR, score_planes
from vlfusion.metrics.undefined import Undefined
from vlfusion.registry import snapshot
from vlfusion.system.devices import device_of
from vlfusion.system.memory import out_of_memory
from vlfusion.system.ray_cluster import Cluster
from vlfusion.system.workers import in_order, one_thread_each

Folder = str | os.PathLike


@dataclass(frozen=True)
class FolderScores:
    """Result of `score_folder`.

    Attributes:
        rows: name, protocol and scores of each fused image by the metrics' full names (`MI:film`), sorted by name.
        controls: rows of the control images of each pair; empty without `controls`.
        undefined: scores that are not finite or could not be computed, each with its reasons.
        notes: notes for the user on how the files were read.
        record: record of the run, as JSON data.
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
        """Write `STEM.csv`, `STEM.controls.csv` if there are controls, and `STEM.json`, the record.

        Returns:
            The written files.

        Raises:
            ConfigError: the path does not end in `.csv`, or cannot be written.
            OSError: a file cannot be written.
        """
        check_output(path)
        table, controls, record = output_files(path)
        write_json(record, self.record)
        if self.controls:
            write_csv(controls, self.controls)
        elif controls.is_file() and controls.open(encoding='utf-8').readline().startswith('name,control,'):
            controls.unlink()  # a file of an earlier run belongs to other scores
        write_csv(table, self.rows)
        return [table, *([controls] if self.controls else []), record]


def score_folder(fused: Folder, source_a: Folder, source_b: Folder, truth: Folder | None = None, *,
                 metrics: Sequence[str] | None = None, truth_metrics: Sequence[str] | None = None,
                 maps: Mapping[str, Folder] | None = None,
                 protocol: str = 'film', task: str | None = None, range_a: Range = None, range_b: Range = None,
                 page_a: int | None = None, page_b: int | None = None, bands_a: Bands = None, bands_b: Bands = None,
                 controls: bool = False, workers: int | None = None, device: str = 'cpu',
                 progress: Callable[[int, int], None] | None = None,
                 cluster: Cluster | None = None) -> FolderScores:
    """Score every image of a folder.

        scores = vlfusion.score_folder('fused', 'TNO/ir', 'TNO/vi', metrics=['VIF', 'MI:tang'])
        scores.write('scores/mine.csv')

    A fused image and its sources share a name, apart from a prefix or suffix that all files of a folder have. Files are
    scored as stored: 8-bit files are not stretched, and 16-bit files are only multiplied by 255/65535. Each image is
    scored in one thread, so scores are bit-equal for every number of workers. Memory holds an image and its sources for
    each worker.

    Args:
        fused: folder of fused images, or a pattern such as `out/{name}_fused.*`; see `vlfusion.data.pairs.find_pairs`.
        source_a, source_b: folders or patterns of the sources.
        truth: folder or pattern of true images, those that a perfect fusion would give, if there are any.
        metrics: names in `FUSION_METRICS`, perhaps with a variant (`MI:tang`); `all` for every metric; by default
            `DEFAULT_METRICS`. Metrics that are not named here have no score if they cannot be computed, for example
            because an image is too small.
        truth_metrics: names in `TRUTH_METRICS`, or `all`; by default PSNR and SSIM. Used only with `truth`.
        maps: folder or pattern of further images of the pairs by name, for metrics that read them.
        protocol: a name in `vlfusion.imaging.protocol.PROTOCOLS`.
        task: a name in `vlfusion.imaging.tasks.TASKS`, for messages and the record.
        range_a, range_b: values of the sources that are black and white; see `vlfusion.data.pairs.find_pairs`. Give
            the ranges with which the images were fused; the record keeps them.
        page_a, page_b, bands_a, bands_b: page and bands of the sources' files.
        controls: whether to score control images as well; see `vlfusion.evaluation.controls`.
        workers: number of images to score at once; by default torch's number of threads.
        device: device on which to score.
        progress: called after each image with the number of images done and of all images.
        cluster: Ray cluster whose workers score the images, in numbers that the cluster says; by default threads do.

    Raises:
        DataError: an image lacks a partner, cannot be read, has another size, or is not supported by a named metric
            (all are listed); or no metric could be computed.
        ConfigError: the protocol, task, device or number of workers cannot be used, or no metric is named.
        UnknownNameError: no metric, or no variant of it, has that name.
    """
    rules_of_scoring = get_protocol(protocol)
    task_row = get_task(task) if task else None
    label_a, label_b = (f'source A, {task_row.modality_a}', f'source B, {task_row.modality_b}') if task_row else (
        'source A', 'source B')
    workers = usable_workers(workers)
    maps = maps or {}
    require_keywords(maps, 'map', 'reference')
    columns, optional = chosen_columns(metrics, truth_metrics if truth is not None else None, rules_of_scoring,
                                       truth=truth is not None, maps=maps)
    rules = {'source_a': Reading.of(range_a, page_a, bands_a), 'source_b': Reading.of(range_b, page_b, bands_b)}
    scorer = Scorer(columns, rules_of_scoring, controls, device_of(device, torch.float64), optional,
                    (*rules.values(),), task_row,
                    ('fused', 'source_a', 'source_b', *(['truth'] if truth is not None else []), *maps))
    notes: list[str] = []

    folders = {'the fused folder': fused, label_a: source_a, label_b: source_b}
    if truth is not None:
        folders['the truth'] = truth
    folders |= {f'the map {name}': folder for name, folder in maps.items()}
    matched = find_files('.', {what: as_pattern(folder) for what, folder in folders.items()}, remedy=(
        'A fused image and its sources must have the same name, letter case included. Rename or remove the files that '
        "are listed, or give a pattern that says where the name is, as in 'fused/{name}_out.*'."), note=notes.append,
        ranged=[what for what, rule in zip((label_a, label_b), rules.values(), strict=True) if rule.stretch != 'full'])
    new_run()

    results = score_all(scorer, matched, workers, progress, cluster)
    rows = [result.row for result in results.values()]
    control_rows = [row for result in results.values() for row in result.controls]
    unfinite = [item for result in results.values() for item in result.undefined]
    inputs = {key: {'folder': str(folder), 'files': {name: result.digests[i] for name, result in results.items()}}
              for i, (key, folder) in enumerate(zip(scorer.keys, folders.values(), strict=True))}
    for key, rule in rules.items():
        if str(rule):
            inputs[key]['reading'] = str(rule)
    return FolderScores(rows, control_rows, unfinite,
                        record(rules_of_scoring, columns, rows, task=task, inputs=inputs, controls=control_rows,
                               undefined=unfinite, by_channel=sum(result.by_channel for result in results.values())),
                        notes)


def usable_workers(workers: int | None) -> int:
    """The number of images to score at once, by default torch's number of threads; ConfigError if it is below 1."""
    if workers is not None and workers < 1:
        raise ConfigError(f'Expected at least one worker, but got {workers}.', 'Give a number from 1 on.')
    return workers or torch.get_num_threads()


def chosen_columns(metrics: Sequence[str] | None, truth_metrics: Sequence[str] | None, protocol: Protocol, *,
                   truth: bool, maps: Collection[str] = (),
                   default: Sequence[str] = DEFAULT_METRICS) -> tuple[list[str], frozenset[str]]:
    """Return the columns of the chosen metrics, and those of them that were not named, which may stay empty.

    Raises:
        ConfigError: no metric is chosen.
        UnknownNameError: no metric, or no variant of it, has a name that was given.
    """
    columns = chosen_metrics(default if metrics is None else metrics, maps)
    named = [name for name in metrics or () if name != 'all']
    if truth:
        columns += [TRUTH + name for name in chosen_metrics(truth_metrics or DEFAULT_TRUTH_METRICS, truth=True)]
        named += [TRUTH + name for name in truth_metrics or () if name != 'all']
    if not columns:
        raise ConfigError('There is no metric to score with.', 'Name at least one, such as EN.')
    columns = list(dict.fromkeys(full_name(column, protocol.code) for column in columns))
    return columns, frozenset(columns) - {full_name(column, protocol.code) for column in named}


def score_all(scorer: 'Scorer', matched: Mapping[str, tuple[os.PathLike, ...]], workers: int,
              progress: Callable[[int, int], None] | None, cluster: Cluster | None = None) -> dict[str, 'Scored']:
    """The scores of every image by its name; from threads, or from the workers of a cluster.

    Raises:
        DataError: lists all problems, if there are any; or no metric could be computed for any image.
    """
    scored, problems = {}, []
    with one_thread_each(), ThreadPoolExecutor(workers) as pool:
        try:
            if progress:
                progress(0, len(matched))
            results = in_order(pool, scorer, matched.items(), 2 * workers) if cluster is None else _on_cluster(
                cluster, scorer, matched)
            for done, (name, result) in enumerate(zip(matched, results, strict=True), 1):
                if isinstance(result, list):
                    problems += result
                else:
                    scored[name] = result
                if progress:
                    progress(done, len(matched))
        except BaseException:  # also Ctrl-C: neither begin another image nor finish this one
            scorer.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if problems:
        many = 's' * (len(problems) > 1)
        raise DataError(f'Nothing was scored, because of {len(problems)} problem{many}:\n'
                        f'{listing(problems, len(problems))}',
                        'Fix or remove the files that are listed, or leave a metric out.')
    if all(result.row[column] is None for result in scored.values() for column in scorer.columns):
        raise DataError(f'No metric could be computed:\n{listing(map(str, next(iter(scored.values())).undefined))}',
                        'Score other images, or other metrics.')
    return scored


def _on_cluster(cluster: Cluster, scorer: 'Scorer', matched: Mapping[str, tuple[os.PathLike, ...]]
                ) -> Iterator['Scored | list[str]']:
    """Yield what the scorer returns for each image, from workers of a cluster."""
    gpu = scorer.device.type == 'cuda'
    return cluster.in_order(lambda: lambda images: [*map(scorer, images)], matched.items(), gpu=gpu,
                            chunk=cluster.share(len(matched), 8, gpu),
                            lost=lambda files, error: [f'{files[0]}: {error.problem}'])


@dataclass(frozen=True)
class Scored:
    """Scores of one image and of its controls, and the digests of its files."""

    row: Row
    controls: list[Row]
    undefined: list[Undefined]
    digests: list[str]
    by_channel: bool


@dataclass(frozen=True)
class Scorer:
    """A function that scores an image in a worker. Once `stop` is set, it only checks the files.

    The `optional` columns stay empty if they cannot be computed. `readings` are the rules for source A and source B. A
    note names sources that do not look like those of the `task`. `keys` name the images of a pair, in order.
    """

    columns: Sequence[str]
    protocol: Protocol
    controls: bool
    device: torch.device
    optional: Collection[str] = ()
    readings: tuple[Reading, ...] = ()
    task: Task | None = None
    keys: tuple[str, ...] = ('fused', 'source_a', 'source_b')
    stop: threading.Event = field(default_factory=threading.Event)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != 'stop'}  # an event is of one process

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, stop=threading.Event())

    def layout(self, count: int) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Reading, ...]]:
        """Keys of the `count` images of one name, keys of the sources among them, and the sources' reading rules."""
        return self.keys, PAIR, self.readings

    def __call__(self, files: tuple[str, tuple[os.PathLike, ...]]) -> Scored | list[str]:
        """The scores of an image from its files, one for each of the keys, or a list of problems."""
        name, paths = files
        images, problems = read_images(name, paths, (AS_STORED, *self.layout(len(paths))[2]))
        if not problems:
            if self.task:
                note_suspicion(*paths[1:3], *images[1:3], self.task)
            try:
                self._check_size(images[0].shape[:2])
                if not self.stop.is_set():
                    return self._score(name, images, [file_digest(path) for path in paths])
            except DataError as error:
                problems = [f'{name}: {error.problem}']
            except Exception as error:
                if not out_of_memory(error):
                    raise
                problems = [too_large(paths[0], images[0].shape).problem]
        if problems:
            self.stop.set()
        return problems

    def _check_size(self, size: tuple[int, int]) -> None:
        named = [metric_of(column, self.protocol.code) for column in self.columns if column not in self.optional]
        pickiest = max(named, key=lambda metric: metric.info.smallest, default=None)
        if pickiest and min(size) < pickiest.info.smallest:
            blank = torch.zeros(1, 1, *size)
            pickiest(*[blank] * len(pickiest.info.inputs))  # raises the error

    def _score(self, name: str, images: list[np.ndarray], digests: list[str]) -> Scored | list[str]:
        keys, sources, _ = self.layout(len(images))
        planes = (planes.to(self.device) for planes in planes_of(images, self.protocol))
        compared = dict(zip(keys, planes, strict=True))
        score = partial(score_planes, columns=self.columns, code=self.protocol.code, stop=self.stop,
                        optional=self.optional, sources=sources)
        scores, unfinite = score(name, compared)
        controls = []
        of_sources = [compared[key] for key in sources]
        for control, image in control_images(name, *of_sources).items() if self.controls else ():
            values, _ = score(name, compared | dict(fused=image))
            controls.append({'name': name, 'control': control, 'protocol': self.protocol.label} | values)
        return [] if self.stop.is_set() else Scored(
            {'name': name, 'protocol': self.protocol.label} | scores, controls, unfinite, digests,
            self.protocol.by_channel(images[0]))


def chosen_metrics(names: Sequence[str], maps: Collection[str] = (), truth: bool = False) -> list[str]:
    """Names of metrics without repetition; `all` means every registered metric that reads no other maps."""
    if 'all' in names:
        plugins.load_all(snapshot)
    whole = [metric_names(truth, maps) if name == 'all' else [name] for name in names]
    return list(dict.fromkeys(name for part in whole for name in part))
