"""Find the data sets, pairs and texts of a config."""

import inspect
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config

from vlfusion.config import SPLITS
from vlfusion.console.notes import note
from vlfusion.data.dataset import PairDataset
from vlfusion.data.instructed import Instructions
from vlfusion.data.names import composed
from vlfusion.data.pairs import Pair
from vlfusion.data.policies import fixed_text
from vlfusion.data.text import WrittenText, given_texts, text_configs, text_sources
from vlfusion.errors import ConfigError, DataError, UnknownNameError, did_you_mean, listing
from vlfusion.language.subjects import ImageToDescribe, Subject, subjects_of
from vlfusion.registry import DATASETS, share_keys


def find_datasets(config: Config, splits: Sequence[str] | None = None, *, text: bool | dict = False,
                  whole: bool = False) -> list[tuple[str, PairDataset]]:
    """Build the data sets of a config that read pairs of image files. Equal data sets are built once.

    Args:
        config: a config as `load_config` returns it.
        splits: some of `train`, `val` and `test`; None for all splits of the config.
        text: True to read and check text; a dict replaces the `text_source`.
        whole: True for samples of whole images without augmentation; False for pairs only, without samples.

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
        changes = {'check': False, 'instructions': None,
                   'pipeline': [loading_step(part), dict(type='PackPair')] if whole else []}
        if text is not True:
            changes['text_source'] = text or None
        dataset = DATASETS.build({**part, **{key: value for key, value in changes.items() if key in accepted}})
        if not hasattr(dataset, 'pairs'):
            raise ConfigError(f'The data set {part["type"]} of {split} reads no image files.',
                              'Choose another --split.')
        datasets.append((split, dataset))
    return datasets


def dataset_part(config: Config, split: str) -> dict:
    """Return the data set's part of a config for a split; raise ConfigError if there is none."""
    if not config.get(f'{split}_dataloader'):
        raise ConfigError(f'{config.filename or "The config"} has no {split}_dataloader.',
                          'Choose another --split, or add one.')
    return config[f'{split}_dataloader'].dataset


def loading_step(part: dict) -> dict:
    """Return the step of a pipeline that reads the images of a pair, or the default step if there is none."""
    return next((step for step in part.get('pipeline', ()) if step['type'] == 'LoadPair'), dict(type='LoadPair'))


def pairs_of(config: Config, splits: Sequence[str] | None = None, names: Iterable[str] | None = None) -> list[Pair]:
    """List the pairs of a config's data sets in order, each once.

    Args:
        config: a config as `load_config` returns it.
        splits: some of `train`, `val` and `test`; None for all splits of the config.
        names: names of the pairs to list; None for all.

    Raises:
        ConfigError: the config lacks a split, or a data set reads no image files.
        UnknownNameError: no pair has one of the names.
    """
    pairs = list(dict.fromkeys(pair for _, dataset in find_datasets(config, splits) for pair in dataset.pairs))
    if not names:
        return pairs
    known, spelling = {composed(pair.name) for pair in pairs}, {composed(name): name for name in names}
    for name, spelled in spelling.items():
        if name not in known:
            raise UnknownNameError(f'No pair has the name {spelled!r}.', did_you_mean(spelled, known))
    return [pair for pair in pairs if composed(pair.name) in spelling]


def find_subjects(config: Config, name: str, *, of_pairs: bool, source: str | None = None,
                  modality: str | None = None, splits: Sequence[str] | None = None) -> Sequence[Subject]:
    """Find the images or pairs of a name, as captioners get them.

    Args:
        config: a config as `load_config` returns it.
        name: name of a pair, or path of an image file.
        of_pairs: True if the config's prompt is about pairs.
        source: `a` or `b` for one image of the pair; None for both.
        modality: modality of an image file; None takes it from the config.
        splits: some of `train`, `val` and `test`; None for all splits of the config.

    Raises:
        ConfigError: a source or modality is given, but the prompt is about pairs.
        DataError: the config does not have the pair or image.
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
                            f'Name its modality with --modality, such as {" or ".join(map(repr, modalities))}.')
        return subjects
    matching = [pair for pair in pairs if composed(pair.name) == composed(name)]
    if not matching:
        names = sorted({pair.name for pair in pairs})
        near = get_close_matches(name, names, 5, 0.4) or names[:5]
        raise DataError(f'{config.filename} has no pair {name!r}, and there is no such file.',
                        f'It has {len(names)} pairs, such as {", ".join(near)}.')
    if not source:
        return subjects_of(matching, of_pairs)
    return list(dict.fromkeys(both.images['ab'.index(source)] for both in subjects_of(matching, of_pairs=True)))


def texts_to_encode(config: Config, splits: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Return the texts of a config that are encoded as they are, each once, by the name of the text.

    They come from `language.fixed`, from `text_source=dict(fixed=...)`, from a `text_policy` with one text for every
    pair, from the files of `text_source=dict(texts=...)`, and from the vocabulary of `instructions`.

    Args:
        config: a config as `load_config` returns it.
        splits: splits whose text files are read; None for all splits of the config.

    Returns:
        Texts by the name that the backbone knows them by: `text`, `instruction`, ...; those of `language.fixed` are
        under `text`.

    Raises:
        DataError: pairs lack their text.
    """
    texts = [('text', text) for text in config.language.get('fixed') or []]
    for part in text_readers(config):
        policy = fixed_text(part.get('text_policy'))
        sources = text_configs(part.get('text_source', config.get('text_source')))
        texts += [(name, source['fixed']) for name, source in sources.items() if 'fixed' in source]
        texts += [(name, policy) for name in sources or ['text'] if policy is not None]
    of_pairs = (any('texts' in source for source in text_entries(config))
                or any(part.get('instructions') for part in text_readers(config)[1:]))  # of the data sets
    texts += _texts_of_pairs(config, splits) if of_pairs else []
    named: dict[str, list[str]] = {}
    for name, text in dict.fromkeys(texts):
        named.setdefault(name, []).append(text)
    return named


def _texts_of_pairs(config: Config, splits: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return the texts of files, and the sentences that instructions are drawn from, each with its name."""
    texts, written, pairs = [], [], []
    for split, dataset in find_datasets(config, splits):
        part = dataset_part(config, split)
        sources = text_sources(part.get('text_source'), part.get('language'), part.get('data_root', '.'))
        texts += [(name, text) for name, source in sources.items() for text in given_texts([source], dataset.pairs)]
        written += [source for source in sources.values() if isinstance(source, WrittenText)]
        pairs += dataset.pairs
        if part.get('instructions'):
            instructions = Instructions(part['language'], **part['instructions'])
            texts += [(instructions.stream, text) for text in instructions.texts(dataset.pairs)]
    whole = not splits or all(split in splits for split in SPLITS if config.get(f'{split}_dataloader'))
    if whole and (surplus := {str(path): None for source in written for path in source.surplus(pairs)}):
        note('texts', f'{len(surplus)} of the texts belong to no pair:\n{listing(surplus)}')
    return texts


def reads_stream(config: Config) -> bool:
    """Tell whether a config reads descriptions of its images, or leaves it open."""
    sources = text_entries(config)
    # If all features come from files, a user of `describe` wants to make new ones.
    return (not sources or any('stream' in source for source in sources)
            or all('files' in source for source in sources))


def text_entries(config: Config) -> list[dict]:
    """Return the entries of all `text_source` keys, of the config itself and of its data sets: a dict per text."""
    return [source for part in text_readers(config) for source in text_configs(part.get('text_source')).values()]


def text_readers(config: Config) -> list[Config | dict]:
    """Return the parts of a config that may have text keys: the config itself and its data sets."""
    return [config, *(config[f'{split}_dataloader'].dataset for split in SPLITS if config.get(f'{split}_dataloader'))]
