"""Scoring of a folder of images that are fused from stacks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from vlfusion.console.notes import new_run
from vlfusion.data.pairs import MOST, Bands, Range, as_pattern, find_files
from vlfusion.data.stacks import find_stacks
from vlfusion.errors import DataError, listing
from vlfusion.evaluation.folder import Folder, FolderScores, Scorer, chosen_columns, score_all, usable_workers
from vlfusion.evaluation.record import record
from vlfusion.imaging.protocol import get_protocol
from vlfusion.imaging.reading.rule import Reading
from vlfusion.metrics.scoring import stack_keys
from vlfusion.system.devices import device_of
from vlfusion.system.ray_cluster import Cluster


def score_stacks(fused: Folder, stacks: Sequence[Folder], truth: Folder | None = None, *,
                 metrics: Sequence[str] | None = None, truth_metrics: Sequence[str] | None = None,
                 protocol: str = 'film', task: str | None = None, range: Range = None, page: int | None = None,
                 bands: Bands = None, workers: int | None = None, device: str = 'cpu',
                 progress: Callable[[int, int], None] | None = None,
                 cluster: Cluster | None = None) -> FolderScores:
    """Score every image of a folder against the stack that it is fused from.

        scores = vlfusion.score_stacks('fused', ['stacks'], metrics=['Qabf', 'MEF_SSIM'])
        scores.write('scores/mine.csv')

    Metrics for any number of sources are listed at `vlfusion.metrics.score_stack`. Memory holds an image and all its
    sources for each worker.

    Args:
        fused: folder of fused images with the names of the stacks, or a pattern such as `out/{name}_fused.*`.
        stacks: a folder of stacks, or several folders whose files of one name form a stack; see
            `vlfusion.data.stacks.find_stacks`.
        truth, metrics, truth_metrics, protocol, task, workers, device, progress, cluster: as for
            `vlfusion.score_folder`.
        range, page, bands: reading rule of the sources, as of `vlfusion.imaging.reading.rule.Reading.of`.

    Raises:
        DataError: as for `vlfusion.score_folder`; or a named metric is defined for two sources, but a stack has more.
        ConfigError, UnknownNameError: as for `vlfusion.score_folder`.
    """
    rules, workers, reading = get_protocol(protocol), usable_workers(workers), Reading.of(range, page, bands)
    columns, optional = chosen_columns(metrics, truth_metrics, rules, truth=truth is not None)
    found = {stack.name: stack.paths for stack in find_stacks(stacks, reading=reading)}
    folders = {'the fused folder': fused} | ({} if truth is None else {'the truth': truth})
    images = find_files('.', {what: as_pattern(folder) for what, folder in folders.items()})
    if problems := [*(f'{name} has no stack' for name in images if name not in found),
                    *(f'the stack {name} has no fused image' for name in found if name not in images)]:
        raise DataError(f'Fused images and stacks do not match:\n{listing(problems, MOST)}',
                        'A fused image has the name of its stack. Rename or remove the files that are listed.')
    scorer = _StackScorer(columns, rules, False, device_of(device, torch.float64), optional, (reading,),
                          keys=() if truth is None else ('truth',))
    new_run()
    results = score_all(scorer, {name: (first, *found[name], *others) for name, (first, *others) in images.items()},
                        workers, progress, cluster)
    rows = [result.row for result in results.values()]
    undefined = [item for result in results.values() for item in result.undefined]
    inputs = {'fused': {'folder': str(fused), 'files': {name: result.digests[0] for name, result in results.items()}},
              'stacks': {'folder': ' '.join(map(str, stacks)), 'files': {
                  f'{name}/{number}': digest for name, result in results.items()
                  for number, digest in enumerate(result.digests[1:len(found[name]) + 1], 1)}}}
    if truth is not None:
        inputs['truth'] = {'folder': str(truth), 'files': {name: result.digests[-1]
                                                           for name, result in results.items()}}
    if str(reading):
        inputs['stacks']['reading'] = str(reading)
    return FolderScores(rows, [], undefined, record(rules, columns, rows, task=task, inputs=inputs,
                                                    undefined=undefined, by_channel=sum(
                                                        result.by_channel for result in results.values())))


@dataclass(frozen=True)
class _StackScorer(Scorer):
    """A scorer of fused images, each with any number of sources. `keys` name the images after the sources."""

    def layout(self, count: int) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Reading, ...]]:
        sources = stack_keys(count - 1 - len(self.keys))
        return ('fused', *sources, *self.keys), sources, self.readings * len(sources)
