"""Text features of pairs: from published feature files, or from the store that `vlfusion describe` fills."""

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vlfusion.data.joining import join_rule
from vlfusion.data.names import spelled
from vlfusion.data.pairs import Pair
from vlfusion.errors import ConfigError, DataError, did_you_mean, listing
from vlfusion.language.keys import Keys
from vlfusion.language.section import section
from vlfusion.language.store import TextStore
from vlfusion.language.subjects import Subject, content_of, subjects_of


class TextSource(ABC):
    """Source of the token features of a pair.

    Attributes:
        dim: the width of the features; known once `check` has run.
        remedy: what to do about features that are missing or do not fit.
    """

    dim: int
    remedy: str

    @abstractmethod
    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        """The float32 features of one pair; raises DataError where there are none."""

    def shape(self, pair: Pair) -> tuple[int, int]:
        """Tokens and width of one pair's features; raises DataError as `load` does."""
        return self.load(pair).shape

    def words(self, pair: Pair) -> dict[str, str]:
        """Words that the model reads of a pair, by what each text is about; empty where nobody knows the words."""
        return {}

    def check(self, pairs: Sequence[Pair]) -> None:
        """Find every pair whose features are missing, unreadable or of another width than most.

        Raises:
            DataError: names the first of them and counts the others.
        """
        shapes, problems = {}, []
        for pair in pairs:
            try:
                shapes[pair.name] = self.shape(pair)
            except DataError as error:
                problems.append(f'{pair.name}: {error.problem}')
        self._lengths = {name: token for name, (token, _) in shapes.items()}
        widths = Counter(dim for _, dim in shapes.values()).most_common()
        self.dim = widths[0][0] if widths else 0
        problems += [f'{name}: {dim} wide; most are {self.dim} wide'
                     for name, (_, dim) in shapes.items() if dim != self.dim]
        if problems:
            raise DataError(f'{len(problems)} of {len(pairs)} pairs have no usable text feature:\n'
                            f'{listing(problems, 5)}', self.remedy)

    def length(self, pairs: Sequence[Pair]) -> int:
        """The most tokens that any of the pairs, which were checked, has."""
        return max(self._lengths[pair.name] for pair in pairs)


class FeatureFiles(TextSource):
    """One NumPy file per pair, as the VLF data set is published: `(1, token, dim)` or `(token, dim)`.

    Args:
        root: the folder that the pattern is relative to.
        pattern: such as `TextFeature/IVF/MSRS/{name}.npy`.
    """

    def __init__(self, root: str | os.PathLike, pattern: str):
        self.root, self.pattern = Path(root), pattern
        self.remedy = (f'Copy the features to {self.root / pattern}, or make your own: set text_source=dict(stream='
                       "'pair/paragraph') and run `vlfusion describe CONFIG` with the config of this run.")

    def check(self, pairs: Sequence[Pair]) -> None:
        if len(pairs) > 1 and '{name}' not in self.pattern:
            raise ConfigError(f'Every pair would read the same text feature, {self.root / self.pattern}.',
                              'Write {name} where the name of a pair stands, as in TextFeature/IVF/MSRS/{name}.npy')
        super().check(pairs)

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        features = np.array(self._open(pair), np.float32)
        return require_finite(features, str(self.root / self.pattern.replace('{name}', pair.name)), self.remedy)

    def shape(self, pair: Pair) -> tuple[int, int]:
        return self._open(pair).shape

    def _open(self, pair: Pair) -> np.ndarray:
        return read_features(spelled(lambda name: self.root / self.pattern.replace('{name}', name), pair.name),
                             self.remedy)


def read_features(path: str | os.PathLike, remedy: str) -> np.ndarray:
    """The token features `(token, dim)` in a NumPy file, mapped into memory; a leading axis of one is taken off.

    Raises:
        DataError: the file is absent, is no array of floats of two axes, or would run code.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f'there is no file {path}', remedy)
    try:
        array = np.load(path, mmap_mode='r', allow_pickle=False) if path.is_file() else None
    except Exception as error:  # what a damaged header makes NumPy raise is of any kind
        raise DataError(f'{path} cannot be read as an array: {(str(error) or type(error).__name__).splitlines()[0]}',
                        remedy) from error
    if not isinstance(array, np.ndarray):
        if array is not None:
            array.close()
        raise DataError(f'{path} is no NumPy file of one array', remedy)
    rows = array[0] if array.ndim == 3 and len(array) == 1 else array
    if rows.ndim != 2 or not rows.size or not np.issubdtype(rows.dtype, np.floating):
        raise DataError(f'{path} holds {array.dtype} {array.shape}; expected floats (1, token, dim) or '
                        '(token, dim)', remedy)
    return rows


#: The streams of the text store that a pair can read, and the sources whose tokens each joins.
STREAMS = {'pair/paragraph': 'ab', 'source_a/paragraph': 'a', 'source_b/paragraph': 'b'}


class StoredText(TextSource):
    """Features of the paragraphs that an LLM wrote about each image, or about each pair, from the text store.

    Args:
        language: the `language` section of a config; it says where the store is and identifies what is in it.
        stream: `pair/paragraph` for the tokens of A's paragraph followed by B's, or those of the pair's own paragraph
            if the prompt is about pairs; `source_a/paragraph` or `source_b/paragraph` for those of one image.
        join: the rule that makes one feature of them, such as `dict(type='concat', tokens=149, longer='cut')`, see
            `vlfusion.data.joining`; None joins all tokens.
    """

    def __init__(self, language: dict, stream: str = 'pair/paragraph', join: Any = None):
        if stream not in STREAMS:
            raise ConfigError(f'Unknown text stream {stream!r}.', did_you_mean(stream, STREAMS))
        self.language, self.sources = language, STREAMS[stream]
        self.store, self.keys = TextStore(section(language, 'store')), Keys(language)
        if self.keys.of_pairs and stream != 'pair/paragraph':
            raise ConfigError(f'There is no stream {stream!r}: the prompt {self.keys.prompt.id} is about pairs.',
                              "Set stream='pair/paragraph', or a prompt about one image.")
        self.join = join_rule(join, 1 if self.keys.of_pairs else len(self.sources))
        self.remedy = ('Run `vlfusion describe CONFIG` with the config and the folders of this run: it describes what '
                       f'is missing in {language["store"]} and nothing else. After changing the language section, run '
                       'it again.')
        if join:
            self.remedy += " Where a text is too long, raise join.tokens or set join.longer='cut'."
        self._known: dict[Subject, str] = {}

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        [both] = subjects_of([pair], of_pairs=True)
        subjects = [both] if self.keys.of_pairs else [both.images['ab'.index(source)] for source in self.sources]
        keys = [(subject, self._key(subject)) for subject in subjects]
        missing = [str(subject) for subject, key in keys if not self.store.has('features', key)]
        if missing:
            raise DataError(f'not described yet: {", ".join(missing)}', self.remedy)
        parts = [self.store.features(key) for _, key in keys]
        if len({part.shape[1] for part in parts}) > 1:
            raise DataError(f'features of different width, {" and ".join(str(part.shape[1]) for part in parts)}',
                            self.remedy)
        return require_finite(self.join(parts).astype(np.float32), ' and '.join(str(subject) for subject, _ in keys),
                              self.remedy)

    def words(self, pair: Pair) -> dict[str, str]:
        found = paragraphs(self.language, pair)
        if self.keys.of_pairs:
            return found
        return {heading: text for heading, text in found.items() if heading[len('source ')].lower() in self.sources}

    def _key(self, subject: Subject) -> str:
        """The key of the features of an image or a pair; each is read and hashed once."""
        if subject not in self._known:
            self._known[subject] = self.keys.feature(*content_of(subject))
        return self._known[subject]


class FixedText(TextSource):
    """Features of one text for every pair, such as an instruction, from the text store.

    Args:
        language: the `language` section of a config; its store and its encoder count.
        text: what `vlfusion describe` encodes once; the empty text is one too.
    """

    def __init__(self, language: dict, text: str):
        self.text, self.store = text, TextStore(section(language, 'store'))
        self.key = Keys(language).fixed(text)
        self.remedy = 'Run `vlfusion describe CONFIG` with the config of this run: it encodes the text once.'

    def check(self, pairs: Sequence[Pair]) -> None:
        self.dim = self._features.shape[1]

    def length(self, pairs: Sequence[Pair]) -> int:
        return len(self._features)

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        return self._features

    def words(self, pair: Pair) -> dict[str, str]:
        return {'every pair': self.text} if self.text else {}

    @cached_property
    def _features(self) -> Float[np.ndarray, 'token dim']:
        if not self.store.has('features', self.key):
            raise DataError(f'the fixed text {self.text!r} is not encoded yet', self.remedy)
        return self.store.features(self.key).astype(np.float32)


def paragraphs(language: Mapping, pair: Pair) -> dict[str, str]:
    """Paragraphs that an LLM wrote of a pair or of its images, as far as the text store has it, by what it is about."""
    keys, store = Keys(language), TextStore(section(language, 'store'))
    headings = ['pair'] if keys.of_pairs else [f'source A, {pair.modality_a}', f'source B, {pair.modality_b}']
    [both] = subjects_of([pair], of_pairs=True)
    found = {}
    for heading, subject in zip(headings, [both] if keys.of_pairs else both.images, strict=True):
        try:
            found[heading.rstrip(', ')] = store.checked('paragraphs', keys.paragraph(*content_of(subject)))['text']
        except DataError:
            continue  # whoever shows it does not ask for it
    return found


#: What a sample holds already, so that no text can be called so.
RESERVED = ('source_a', 'source_b', 'truth', 'fused', 'name', 'path_a', 'path_b', 'mode')


def text_configs(config: Any) -> dict[str, Mapping]:
    """Entries of a config's `text_source`, by the keyword under which the backbone's `forward` takes each text.

    >>> text_configs(dict(fixed='Fuse them.'))
    {'text': {'fixed': 'Fuse them.'}}
    >>> list(text_configs(dict(text_a=dict(stream='source_a/paragraph'), instruction=dict(fixed='Fuse them.'))))
    ['text_a', 'instruction']

    Raises:
        ConfigError: a text has a name that it cannot have, or one text is mixed with several.
    """
    if not config:
        return {}
    if not isinstance(config, Mapping):
        raise ConfigError(f'text_source is {config!r}.', "Write text_source=dict(stream='pair/paragraph').")
    several = [isinstance(value, Mapping) for key, value in config.items() if key != 'join']
    if not any(several):
        return {'text': _proven(config)}
    if not all(several) or 'join' in config:
        raise ConfigError(f'text_source={dict(config)} mixes one text with several.',
                          'Give each text a dict of its own; write _delete_=True among them where a _base_ has another '
                          'text_source.')
    for name in config:
        if not name.isidentifier() or name in RESERVED or name.endswith('_mask'):
            raise ConfigError(f'No text can be called {name!r}.',
                              "Give each text the keyword of the backbone's forward, such as text_a=dict(stream=...).")
    return {name: _proven(one) for name, one in config.items()}


def _proven(config: Mapping) -> Mapping:
    """The source of one text as it is; raises ConfigError where its fixed text is none."""
    text = config.get('fixed', 'none')
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f'The fixed text is {text!r}.',
                          "Write text_source=dict(fixed='Fuse the two images.'), or text_policy='empty'.")
    return config


def text_sources(config: Mapping | None, language: dict | None, root: str | os.PathLike) -> dict[str, TextSource]:
    """The sources that a config's `text_source` asks for, by the backbone's keyword; none without one.

    Args:
        config: for one text, which the backbone takes as `text`, `dict(files=PATTERN)`, `dict(stream=NAME)`, perhaps
            with `join`, or `dict(fixed=TEXT)`; for several a dict of these by keyword, such as
            `dict(text_a=dict(stream='source_a/paragraph'), instruction=dict(fixed='Fuse them.'))`.
        language: the config's language section; the text store needs it.
        root: the folder that files are relative to.

    Raises:
        ConfigError: it says nothing of this kind.
    """
    return {name: _source(one, language, root) for name, one in text_configs(config).items()}


def _source(config: Mapping, language: dict | None, root: str | os.PathLike) -> TextSource:
    if set(config) == {'files'}:
        return FeatureFiles(root, config['files'])
    if 'stream' in config and set(config) <= {'stream', 'join'} and language:
        return StoredText(language, **config)
    if set(config) == {'fixed'} and language:
        return FixedText(language, config['fixed'])
    raise ConfigError(f'text_source={dict(config)} does not say where text features come from.',
                      "Write text_source=dict(stream='pair/paragraph') or dict(fixed='...') and pass the config's "
                      "language section as language=..., or text_source=dict(files='TextFeature/.../{name}.npy').")


def require_finite(text: Float[np.ndarray, 'token dim'], origin: str, remedy: str) -> Float[np.ndarray, 'token dim']:
    """The features as they are; raises DataError, which names their origin, where they hold NaN or infinity."""
    if not np.isfinite(text).all():
        raise DataError(f'The text features of {origin} hold NaN or infinity.', remedy)
    return text


def pad(text: Float[np.ndarray, 'token dim'],
        length: int) -> tuple[Float[np.ndarray, 'length dim'], Bool[np.ndarray, ' length']]:
    """The features with zero rows added up to `length`, and a mask that is true where a row is a token.

    >>> pad(np.ones((2, 4), np.float32), 3)[1]
    array([ True,  True, False])
    """
    padded = np.empty((length, text.shape[1]), np.float32)
    padded[:len(text)], padded[len(text):] = text, 0
    return padded, np.arange(length) < len(text)
