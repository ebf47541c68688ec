"""Describe the images that a config reads, and keep paragraphs and text features in its text store.

What is described already is left alone, so a run that was stopped goes on where it was.

    vlfusion describe configs/film/film_med.py
    vlfusion describe configs/film/film_med.py --split test --limit 10
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmengine.config import Config

HELP = 'describe images with captioners and an LLM, and encode the descriptions'
SPLITS = ('train', 'val', 'test')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_config
    add_config(parser)
    parser.add_argument('--split', nargs='+', choices=SPLITS, help='whose images (default: all that the config has)')
    parser.add_argument('--limit', type=int, metavar='N', help='describe the first N images only')


def run(args: argparse.Namespace) -> int:
    from vlfusion.config import load_config
    from vlfusion.errors import ConfigError
    from vlfusion.language.pipeline import DescriptionPipeline

    config = load_config(args.config, args.cfg_options)
    if not config.get('language'):
        raise ConfigError(f'{args.config} has no language section.',
                          "Add '../_base_/language/measured_minilm.py' to its _base_.")
    pipeline = DescriptionPipeline(config.language)
    images = find_images(config, args.split)[:args.limit]

    with progress_bars() as show:
        report = pipeline.run(images, show)
    print(f'{len(report.done)} of {len(images)} images described, {len(report.skipped)} described before, '
          f'{len(report.failed)} failed. The text store is {pipeline.store.root}.')
    example = next((image for image in images if image.path not in report.failed), None)
    if example:
        print(f'For example {example.path.name} ({example.modality}): {pipeline.paragraph(example)}')
    if report.failed:
        print(f'Failed:\n{report.failures()}')
    return 1 if report.failed else 0


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """One bar per stage on stderr, with rate and remaining time; gives what `DescriptionPipeline.run` calls."""
    from rich import progress
    from rich.console import Console

    class Rate(progress.ProgressColumn):
        def render(self, task: progress.Task) -> str:
            return f'{task.speed or task.finished_speed or 0:.1f}/s'

    bars = progress.Progress(
        progress.TextColumn('{task.description}'), progress.BarColumn(), progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(), progress.TextColumn('eta'), progress.TimeRemainingColumn(), Rate(),
        console=Console(stderr=True))
    tasks = {}

    def show(stage: str, through: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=through)

    with bars:
        yield show


def find_images(config: Config, splits: list[str] | None = None) -> list:
    """The images that the data sets of a config read, each once, in their order.

    Args:
        config: as `load_config` returns it.
        splits: of `train`, `val` and `test`; None for all that the config has.
    """
    import inspect

    from vlfusion.errors import ConfigError
    from vlfusion.language.pipeline import ImageToDescribe
    from vlfusion.registry import DATASETS
    from vlfusion.runner import share_keys

    images = {}
    for split in splits or [split for split in SPLITS if config.get(f'{split}_dataloader')]:
        if not config.get(f'{split}_dataloader'):
            raise ConfigError(f'The config has no {split}_dataloader.', 'Choose another --split.')
        part = config[f'{split}_dataloader'].dataset
        share_keys(config, part, DATASETS)
        # Only the list of pairs is wanted: no text, which is yet to be made, and no image is decoded twice.
        accepted = inspect.signature(DATASETS.get(part['type'])).parameters
        idle = {'text_source': None, 'check': False, 'pipeline': []}
        dataset = DATASETS.build({**part, **{key: value for key, value in idle.items() if key in accepted}})
        if not hasattr(dataset, 'pairs'):
            raise ConfigError(f'The data set {part["type"]} of {split} reads no image files that could be described.',
                              'Choose another --split.')
        for pair in dataset.pairs:
            for path, modality in ((pair.path_a, pair.modality_a), (pair.path_b, pair.modality_b)):
                images[ImageToDescribe(path, modality)] = None
    return list(images)
