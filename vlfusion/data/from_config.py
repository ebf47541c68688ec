"""Data sets, pairs and texts of a config."""

import inspect
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config

from vlfusion.config import SPLITS
from vlfusion.data.dataset import PairDataset
from vlfusion.data.names import composed
from vlfusion.data.pairs import Pair
from vlfusion.data.policies import fixed_text
from vlfusion.data.text import text_configs
from vlfusion.errors import ConfigError, DataError, UnknownNameError, did_you_mean
from vlfusion.language.subjects import ImageToDescribe, Subject, subjects_of
from vlfusion.registry import DATASETS, share_keys


def find_datasets(config: Config, splits: Sequence[str] | None = None, *, text: bool | dict = False,
                  whole: bool = False) -> list[tuple[str, PairDataset]]:
    """Build the data sets of a config that read pairs of image files. Equal ones are built once.

    Args:
        config: as `load_config` returns it.
        splits: of `train`, `val` and `test`; None for all that the config has.
        text: whether they read (and check) their text; a dict is the `text_source` to use.
        whole: whether samples are whole images without augmentation; otherwise there are no samples, only pairs.

    Returns:
        Each data set with its split.

    Raises:
        ConfigError: the config lacks a split, or a data set reads no image files.
        DataError: images or texts are missing.
    """
    datasets, parts = [], []
    for split in splits or [split for split in SPLITS if config.get(f'{split}_dataloader')]:
        part = dataset_part(config, split)
        share_keys(config, part, DATASETS)
        if part in parts:
            continue
        parts.append(part)
        accepted = inspect.signature(DATASETS.get(part['type'])).parameters
        changes = {'check': False, 'pipeline': [loading_step(part), dict(type='PackPair')] if whole else []}
        if text is not True:
            changes['text_source'] = text or None
        dataset = DATASETS.build({**part, **{key: value for key, value in changes.items() if key in accepted}})
        if not hasattr(dataset, 'pairs'):
            raise ConfigError(f'The data set {part["type"]} of {split} reads no image files.',
                              'Choose another --split.')
        datasets.append((split, dataset))
    return datasets


def dataset_part(config: Config, split: str) -> dict:
    """The part of a config that says what the data set of a split is; raises ConfigError where there is none."""
    if not config.get(f'{split}_dataloader'):
        raise ConfigError(f'{config.filename or "The config"} has no {split}_dataloader.',
                          'Choose another --split, or add one.')
    return config[f'{split}_dataloader'].dataset


def loading_step(part: dict) -> dict:
    """The step of a pipeline that reads the images of a pair; the default one where the pipeline has none."""
    return next((step for step in part.get('pipeline', ()) if step['type'] == 'LoadPair'), dict(type='LoadPair'))


def pairs_of(config: Config, splits: Sequence[str] | None = None, names: Iterable[str] | None = None) -> list[Pair]:
    """List the pairs that the data sets of a config read, each once, in their order.

    Args:
        config: as `load_config` returns it.
        splits: of `train`, `val` and `test`; None for all that the config has.
        names: of the pairs that are wanted; None for all.

    Raises:
        ConfigError: the config lacks a split, or a data set reads no image files.
        UnknownNameError: no pair has one of the names.
    """
    pairs = list(dict.fromkeys(pair for _, dataset in find_datasets(config, splits) for pair in dataset.pairs))
    if not names:
        return pairs
    known, wanted = {composed(pair.name) for pair in pairs}, {composed(name): name for name in names}
    for name, given in wanted.items():
        if name not in known:
            raise UnknownNameError(f'No pair has the name {given!r}.', did_you_mean(given, known))
    return [pair for pair in pairs if composed(pair.name) in wanted]


def find_subjects(config: Config, name: str, *, of_pairs: bool, source: str | None = None,
                  modality: str | None = None, splits: Sequence[str] | None = None) -> Sequence[Subject]:
    """Find the images or pairs that a name means, as captioners get them.

    Args:
        config: as `load_config` returns it.
        name: the name of a pair, or an image file.
        of_pairs: True if the config's prompt is about pairs.
        source: `a` or `b` for one image of the pair; None for both.
        modality: what an image file is said to be; None for what the config says of it.
        splits: of `train`, `val` and `test`; None for all that the config has.

    Raises:
        ConfigError: a source or modality is named, but the prompt is about pairs.
        DataError: the config has no such pair or image.
    """
    path = Path(name)
    if of_pairs and (source or modality is not None):
        raise ConfigError('The prompt of this config is about pairs, so no image has a text of its own.',
                          'Leave --source and --modality out.')
    if path.is_file() and modality is not None:
        return [ImageToDescribe(path, modality)]
    pairs = pairs_of(config, splits)
    if path.is_file():
        subjects = [subject for subject in subjects_of(pairs, of_pairs)
                    if path.resolve() in [image.path.resolve() for image in subject.images]]
        if not subjects:
            modalities = sorted({image.modality for image in subjects_of(pairs, False)})
            raise DataError(f'{path} is not among the images of {config.filename}.',
                            f'Say what it is with --modality, such as {" or ".join(map(repr, modalities))}.')
        return subjects
    named = [pair for pair in pairs if composed(pair.name) == composed(name)]
    if not named:
        names = sorted({pair.name for pair in pairs})
        near = get_close_matches(name, names, 5, 0.4) or names[:5]
        raise DataError(f'{config.filename} has no pair {name!r}, and there is no such file.',
                        f'It has {len(names)} pairs, such as {", ".join(near)}.')
    if not source:
        return subjects_of(named, of_pairs)
    return list(dict.fromkeys(both.images['ab'.index(source)] for both in subjects_of(named, of_pairs=True)))


def fixed_texts(config: Config) -> list[str]:
    """The texts of a config that are about no image, each once.

    They stand in `language.fixed`, in `text_source=dict(fixed=...)`, and in a `text_policy` that gives every pair one
    text.
    """
    texts = config.language.get('fixed') or []
    sources = [source['fixed'] for source in text_sources(config) if 'fixed' in source]
    policies = [fixed_text(part.get('text_policy')) for part in text_readers(config)]
    return list(dict.fromkeys([*texts, *sources, *(text for text in policies if text is not None)]))


def reads_stream(config: Config) -> bool:
    """True if a config reads descriptions of its images, or does not say what it reads."""
    sources = text_sources(config)
    # Features from files alone: whoever runs `describe` then wants some of their own.
    return (not sources or any('stream' in source for source in sources)
            or all('files' in source for source in sources))


def text_sources(config: Config) -> list[dict]:
    """The entries of every `text_source` of a config, its own and those of its data sets: a dict for each text."""
    return [source for part in text_readers(config) for source in text_configs(part.get('text_source')).values()]


def text_readers(config: Config) -> list[Config | dict]:
    """The parts of a config that say how text is read: the config itself, and its data sets."""
    return [config, *(config[f'{split}_dataloader'].dataset for split in SPLITS if config.get(f'{split}_dataloader'))]
