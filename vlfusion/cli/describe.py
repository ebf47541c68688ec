"""Describe the images of a config or a folder, and keep paragraphs and text features in its text store.

Finished descriptions are kept, so a stopped run goes on where it was. Ctrl-C and SIGTERM finish the records in work; a
second one stops at once. Several processes, on several machines, may fill one store together. Fixed texts
(`language.fixed`, `text_source=dict(fixed=...)`) and texts in files (`dict(texts=...)`) are encoded once.

    vlfusion describe film/film_mif --dry-run
    vlfusion describe film/film_mif
    vlfusion describe film/film_mif --split test --limit 10
    vlfusion describe film/film_mif --only PET-MRI/31
    vlfusion describe film/film_mif --words qwen-vl
    vlfusion describe scans/ --words smolvlm-local --modality MRI   # the images of a folder
    vlfusion describe --source-a my/ir --source-b my/vi --task ivf    # pairs, without a config
    vlfusion describe film/film_mif --split test --texts my/words     # texts of files instead
    torchrun --nproc_per_node=4 tools/describe.py film/film_mif
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from vlfusion.errors import ConfigError, printable

if TYPE_CHECKING:
    from vlfusion.data.describing import Descriptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_config, add_texts, add_words
    from vlfusion.cli.own_data import add_own_data
    from vlfusion.config import SPLITS
    from vlfusion.guards.ranges import COUNT
    add_config(parser, 'or a folder of images')
    add_words(parser)
    parser.add_argument('--modality', metavar='WORD',
                        help='modality of the images of a folder, for the captioner, such as MRI (default: unknown)')
    add_own_data(parser)
    add_texts(parser)
    parser.add_argument('--split', nargs='+', choices=SPLITS, help='splits to use (default: all splits of the config)')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='describe only the images of these pairs')
    parser.add_argument('--limit', type=COUNT, metavar='N', help='describe only the first N images (or pairs)')
    parser.add_argument('--dry-run', action='store_true', help='count missing records and estimate their cost')


def run(args: argparse.Namespace) -> int:
    from vlfusion.config_names import is_config, similar_config
    from vlfusion.console.progress import ShowProgress
    from vlfusion.zoo.names import is_model
    if args.config and not (os.path.exists(args.config) or is_config(Path(args.config)) or is_model(args.config)):
        raise ConfigError(f'{args.config} is neither a folder of images nor a config.',
                          similar_config(Path(args.config)))
    language, work = _of_folder(args) if args.config and os.path.isdir(args.config) else _of_config(args)
    with stopping() as stopped, ShowProgress(quiet=os.environ.get('LOCAL_RANK', '0') != '0') as show:
        done = work(names=args.only, limit=args.limit, dry_run=args.dry_run, progress=show, stop=stopped.event)
    if done.fixed:
        print(f'{len(done.new_fixed)} of {len(done.fixed)} given texts have no features yet.' if args.dry_run else
              f'{len(done.new_fixed)} of {len(done.fixed)} given texts encoded. The text store is '
              f'{language["store"]}.')
    if done.pipeline is None:
        return 0
    if args.dry_run:
        print(planned(done.plan, _unit(done)))
        return 0
    _print_report(done)
    return 128 + stopped.signal if done.report.left else 1 if done.report.failed else 0


def _unit(done: 'Descriptions') -> str:
    return 'pairs' if done.pipeline.prompt.of_pair else 'images'


def _print_report(done: 'Descriptions') -> None:
    """Print what was described, at what cost, an example, and what failed."""
    from vlfusion.guards.redaction import mask
    pipeline, report, unit = done.pipeline, done.report, _unit(done)
    print(f'{len(report.done)} of {len(done.subjects)} {unit} described, {len(report.skipped)} described before, '
          f'{len(report.failed)} failed{f", {len(report.left)} left" if report.left else ""}. '
          f'The text store is {pipeline.store.root}.')
    if report.repaired:
        print(f'{len(report.repaired)} of them had damaged records or features of an older text, which were made '
              'again.')
    tokens, cost = pipeline.asked
    if tokens:
        print(f'The captioners read and wrote {tokens} tokens' + (f', for ${cost:.4f}.' if cost else '.'))
    if pipeline.usage.prompt_tokens:
        print(f'The LLM read {pipeline.usage.prompt_tokens} tokens and wrote {pipeline.usage.completion_tokens}'
              + (f', for ${pipeline.usage.cost:.4f}.' if pipeline.usage.cost else '.'))
    example = next((subject for subject in done.subjects
                    if subject not in report.failed and subject not in report.left), None)
    if example:
        files = ' with '.join(image.path.name + f' ({image.modality})' * bool(image.modality)
                              for image in example.images)
        print(printable(f'For example {files}: {pipeline.paragraph(example)}'))
    if report.failed:
        print(printable(mask(f'Failed:\n{report.failures()}\nThe next run tries them again.')))


def _of_config(args: argparse.Namespace) -> tuple[Mapping, Callable[..., 'Descriptions']]:
    """Return the language section of a config, and the function that describes the images that the config reads."""
    from functools import partial

    from vlfusion.cli.own_data import read_config
    from vlfusion.language.section import require_section
    if args.modality is not None:
        raise ConfigError('--modality is for a folder of images.', 'For pairs, give --modality-a and --modality-b.')
    config = read_config(args)
    language = require_section(config.get('language'), args.config)

    from vlfusion.data.describing import describe
    return language, partial(describe, config, splits=args.split)


def _of_folder(args: argparse.Namespace) -> tuple[Mapping, Callable[..., 'Descriptions']]:
    """Return the language section for a folder of images, and the function that describes them."""
    from functools import partial

    from mmengine.config import Config

    from vlfusion.language.recipes import combine, find_words
    for option in ('source_a', 'source_b', 'split', 'task', 'modality_a', 'modality_b', 'texts'):
        if getattr(args, option) is not None:
            raise ConfigError(f'--{option.replace("_", "-")} is for pairs, but {args.config} is a folder of images.',
                              'Leave it out; --modality WORD says what the images are.')
    language, note = combine(find_words(args.words or 'measured'), None, trained=False)
    config = Config(dict(language=language))
    config.merge_from_dict(args.cfg_options or {})
    print(note, file=sys.stderr)

    from vlfusion.data.describing import describe_folder
    return config.language, partial(describe_folder, args.config, config.language, modality=args.modality or '')


def planned(plan, unit: str) -> str:
    """Return a plan in words; `unit` is `images` or `pairs`."""
    missing = ', '.join(f'{count} {stage}' for stage, count in plan.missing.items())
    if not any(plan.missing.values()):
        return f'All {plan.subjects} {unit} are described.'
    cost = f', for about ${plan.cost:.2f}' if plan.cost is not None else ''
    return (f'Missing for {plan.subjects} {unit}: {missing}.\n'
            f'The LLM would read about {plan.prompt_tokens} tokens and write about {plan.completion_tokens}{cost}.')


class Stopped:
    """Signal that asked to stop, if any.

    Attributes:
        event: set once a signal has come.
        signal: its number; 0 before.
    """

    def __init__(self):
        self.event, self.signal = Event(), 0


@contextmanager
def stopping() -> Iterator[Stopped]:
    """Let Ctrl-C and SIGTERM finish the records in work and leave the rest. A second one stops at once."""
    stopped = Stopped()

    def ask(number: int, _) -> None:
        if stopped.event.is_set():
            raise KeyboardInterrupt
        print('Finishing the records in work. Repeat to stop at once.', file=sys.stderr)
        stopped.signal = number
        stopped.event.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
