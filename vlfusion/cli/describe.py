"""Describe the images that a config reads, and keep paragraphs and text features in its text store.

What is described already is left alone, so a run that was stopped goes on where it was. Ctrl-C and SIGTERM finish what
has begun; a second one does not wait for it. Several processes, on several machines, may fill one store together. Texts
that are about no image (`language.fixed`, `text_source=dict(fixed=...)`) are encoded once.

    vlfusion describe configs/film/film_med.py --dry-run
    vlfusion describe configs/film/film_med.py
    vlfusion describe configs/film/film_med.py --split test --limit 10
    vlfusion describe configs/film/film_med.py --only PET-MRI/31
    torchrun --nproc_per_node=4 tools/describe.py configs/film/film_med.py
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmengine.config import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import SPLITS, add_config
    from vlfusion.cli.own_data import add_own_data
    from vlfusion.guards.ranges import COUNT
    add_config(parser)
    add_own_data(parser)
    parser.add_argument('--split', nargs='+', choices=SPLITS, help='whose images (default: all that the config has)')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='describe the images of these pairs only')
    parser.add_argument('--limit', type=COUNT, metavar='N', help='describe the first N images (or pairs) only')
    parser.add_argument('--dry-run', action='store_true', help='say what is missing, and what it may cost')


def run(args: argparse.Namespace) -> int:
    from vlfusion.cli.own_data import read_config
    from vlfusion.errors import printable
    from vlfusion.guards.redaction import mask
    from vlfusion.language.section import require_section

    config = read_config(args)
    require_section(config.get('language'), args.config)

    from vlfusion.language.fixed import encode_fixed, missing_fixed
    from vlfusion.language.pipeline import DescriptionPipeline
    fixed = fixed_texts(config)
    if fixed and args.dry_run:
        missing = missing_fixed(config.language, fixed)
        print(f'Of {len(fixed)} fixed texts are missing: {len(missing)} features.')
    elif fixed:
        new = encode_fixed(config.language, fixed)
        print(f'{len(new)} of {len(fixed)} fixed texts encoded. The text store is {config.language.store}.')
    if fixed and not reads_stream(config):
        return 0
    pipeline = DescriptionPipeline(config.language)
    subjects = pipeline.subjects(find_pairs(config, args.split, args.only))[:args.limit]
    what = 'pairs' if pipeline.prompt.of_pair else 'images'
    if args.dry_run:
        print(planned(pipeline.plan(subjects), what))
        return 0

    with stopping() as stopped, progress_bars(pipeline.usage) as show:
        report = pipeline.run(subjects, show, stopped.event)
    print(f'{len(report.done)} of {len(subjects)} {what} described, {len(report.skipped)} described before, '
          f'{len(report.failed)} failed{f", {len(report.left)} left" if report.left else ""}. '
          f'The text store is {pipeline.store.root}.')
    if report.repaired:
        print(f'{len(report.repaired)} of them had records that were damaged, or features of an older text; these were '
              'made again.')
    if pipeline.usage.prompt_tokens:
        print(f'The LLM read {pipeline.usage.prompt_tokens} tokens and wrote {pipeline.usage.completion_tokens}'
              + (f', for ${pipeline.usage.cost:.4f}.' if pipeline.usage.cost else '.'))
    example = next((one for one in subjects if one not in report.failed and one not in report.left), None)
    if example:
        shown = ' with '.join(f'{image.path.name} ({image.modality})' for image in example.images)
        print(printable(f'For example {shown}: {pipeline.paragraph(example)}'))
    if report.failed:
        print(printable(mask(f'Failed:\n{report.failures()}\nThe next run tries them again.')))
    return 128 + stopped.signal if report.left else 1 if report.failed else 0


def fixed_texts(config: Config) -> list[str]:
    """The texts of a config that are about no image: `language.fixed`, what `text_source=dict(fixed=...)` names, and
    what a `text_policy` gives every pair."""
    from vlfusion.data.policies import fixed_text
    texts = config.language.get('fixed') or []
    sources = [source['fixed'] for source in text_sources(config) if 'fixed' in source]
    policies = [fixed_text(part.get('text_policy')) for part in text_readers(config)]
    return list(dict.fromkeys([*texts, *sources, *(text for text in policies if text is not None)]))


def reads_stream(config: Config) -> bool:
    """Tell whether a config reads descriptions of its images, or says nothing of what it reads."""
    sources = text_sources(config)
    # Features from files alone: whoever runs `describe` then wants some of their own.
    return (not sources or any('stream' in source for source in sources)
            or all('files' in source for source in sources))


def text_sources(config: Config) -> list[dict]:
    """The entries of every `text_source` of a config, its own and those of its data sets: a dict for each text."""
    from vlfusion.data.text import text_configs
    return [one for part in text_readers(config) for one in text_configs(part.get('text_source')).values()]


def text_readers(config: Config) -> list[Config | dict]:
    """The parts of a config that say how text is read: itself, and its data sets."""
    return [config, *(config[f'{split}_dataloader'].dataset for split in ('train', 'val', 'test')
                      if config.get(f'{split}_dataloader'))]


def planned(plan, what: str) -> str:
    """A plan in words; `what` are images or pairs."""
    missing = ', '.join(f'{count} {stage}' for stage, count in plan.missing.items())
    if not any(plan.missing.values()):
        return f'All {plan.subjects} {what} are described.'
    cost = f', for about ${plan.cost:.2f}' if plan.cost is not None else ''
    return (f'Of {plan.subjects} {what} are missing: {missing}.\n'
            f'The LLM would read about {plan.prompt_tokens} tokens and write about {plan.completion_tokens}{cost}.')


class Stopped:
    """The signal that has asked for the end, if one has."""

    def __init__(self):
        from threading import Event
        self.event, self.signal = Event(), 0


@contextmanager
def stopping() -> Iterator[Stopped]:
    """Let Ctrl-C and SIGTERM finish what has begun and leave the rest; a second one does not wait."""
    import signal
    import sys
    stopped = Stopped()

    def ask(number: int, _) -> None:
        if stopped.event.is_set():
            raise KeyboardInterrupt
        print('Finishing what has begun; once more to stop at once.', file=sys.stderr)
        stopped.signal = number
        stopped.event.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress_bars(usage) -> Iterator[Callable[[str, int, int], None]]:
    """Progress of each stage; gives what `DescriptionPipeline.run` calls.

    Args:
        usage: the pipeline's tokens and money so far, shown beside the paragraphs.
    """
    import os

    from vlfusion.console.progress import ShowProgress

    with ShowProgress(quiet=os.environ.get('LOCAL_RANK', '0') != '0') as bars:
        def show(stage: str, through: int, total: int) -> None:
            tokens = usage.prompt_tokens + usage.completion_tokens
            spent = f'{tokens} tokens ${usage.cost:.2f}' if stage == 'paragraphs' and tokens else ''
            bars(stage, through, total, spent)
        yield show


def find_pairs(config: Config, splits: list[str] | None = None, names: list[str] | None = None) -> list:
    """The pairs that the data sets of a config read, each once, in their order.

    Args:
        config: as `load_config` returns it.
        splits: of `train`, `val` and `test`; None for all that the config has.
        names: of the pairs that are wanted; None for all.

    Raises:
        ConfigError: the config lacks a split, or a data set reads no image files.
        UnknownNameError: no pair has one of the names.
    """
    from vlfusion.cli.options import find_datasets
    from vlfusion.data.names import composed
    from vlfusion.errors import UnknownNameError, did_you_mean

    pairs = dict.fromkeys(pair for _, dataset in find_datasets(config, splits) for pair in dataset.pairs)
    known = {composed(pair.name) for pair in pairs}
    for name in names or ():
        if composed(name) not in known:
            raise UnknownNameError(f'No pair has the name {name!r}.', did_you_mean(name, known))
    wanted = names and {*map(composed, names)}
    return [pair for pair in pairs if wanted is None or composed(pair.name) in wanted]
