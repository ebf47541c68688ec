"""Text features of pairs, from published feature files or from the store that `vlfusion describe` fills.

The store holds features of descriptions that an LLM wrote, of texts in files, and of fixed texts.
"""

import glob
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vlfusion.data.joining import join_rule
from vlfusion.data.names import require_keywords, spelled
from vlfusion.data.pairs import MOST, Pair
from vlfusion.data.patterns import contents_of
from vlfusion.errors import ConfigError, DataError, did_you_mean, listing
from vlfusion.language.fixed import encode_fixed
from vlfusion.language.keys import Keys
from vlfusion.language.section import INSTRUCTION as INSTRUCTION  # for models, which do not import language
from vlfusion.language.section import section, section_of
from vlfusion.language.store import open_store
from vlfusion.language.subjects import Subject, content_of, subjects_of


class TextSource(ABC):
    """Source of the token features of a pair.

    Attributes:
        dim: width of the features; set by `check`.
        remedy: advice to the user if features are missing or do not fit.
    """

    dim: int
    remedy: str

    @abstractmethod
    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        """Return the float32 features of a pair; raise DataError if they are missing."""

    def shape(self, pair: Pair) -> tuple[int, int]:
        """Return the number of tokens and the width of a pair's features; raise DataError as `load` does."""
        return self.load(pair).shape

    def words(self, pair: Pair) -> dict[str, str]:
        """Return the words that the model reads for a pair, by the subject of each text; empty if not known."""
        return {}

    def check(self, pairs: Sequence[Pair]) -> None:
        """Find all pairs whose features are missing, are unreadable or differ in width from most.

        Raises:
            DataError: lists the first ones and counts the others.
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
        """Return the largest number of tokens among the pairs, which must have been checked."""
        return max(self._lengths[pair.name] for pair in pairs)


class FeatureFiles(TextSource):
    """One NumPy file per pair, as in the published VLF data set: `(1, token, dim)` or `(token, dim)`.

    Args:
        root: folder that the pattern is relative to.
        pattern: pattern of the files, such as `TextFeature/IVF/MSRS/{name}.npy`.
    """

    def __init__(self, root: str | os.PathLike, pattern: str):
        self.root, self.pattern = Path(root), pattern
        self.remedy = (f'Copy the features to {self.root / pattern}, or make your own: set text_source=dict(stream='
                       "'pair/paragraph') and run `vlfusion describe CONFIG` with the config of this run.")

    def check(self, pairs: Sequence[Pair]) -> None:
        if len(pairs) > 1 and '{name}' not in self.pattern:
            raise ConfigError(f'Every pair would read the same text feature, {self.root / self.pattern}.',
                              'Write {name} for the name of a pair, as in TextFeature/IVF/MSRS/{name}.npy')
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
    """Map the token features `(token, dim)` of a NumPy file into memory. A leading axis of length 1 is removed.

    Raises:
        DataError: the file is absent, is not an array of floats with two axes, or would run code.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f'there is no file {path}', remedy)
    try:
        array = np.load(path, mmap_mode='r', allow_pickle=False) if path.is_file() else None
    except Exception as error:  # a damaged header can make NumPy raise anything
        raise DataError(f'{path} cannot be read as an array: {(str(error) or type(error).__name__).splitlines()[0]}',
                        remedy) from error
    if not isinstance(array, np.ndarray):
        if array is not None:
            array.close()
        raise DataError(f'{path} is not a NumPy file of one array', remedy)
    rows = array[0] if array.ndim == 3 and len(array) == 1 else array
    if rows.ndim != 2 or not rows.size or not np.issubdtype(rows.dtype, np.floating):
        raise DataError(f'{path} holds {array.dtype} {array.shape}; expected floats (1, token, dim) or '
                        '(token, dim)', remedy)
    return rows


#: Streams of the text store, and the sources whose tokens each stream joins.
STREAMS = {'pair/paragraph': 'ab', 'source_a/paragraph': 'a', 'source_b/paragraph': 'b'}


class StoredText(TextSource):
    """Features of an LLM's paragraphs about each image, or about each pair, from the text store.

    Args:
        language: `language` section of a config, which locates the store and identifies its records.
        stream: `pair/paragraph` for the tokens of A's paragraph followed by B's, or of the pair's one paragraph if the
            prompt is about pairs; `source_a/paragraph` or `source_b/paragraph` for the tokens of one image.
        join: rule that joins the paragraphs' features, such as `dict(type='concat', tokens=149, longer='cut')`, see
            `vlfusion.data.joining`; None joins all tokens.
    """

    def __init__(self, language: dict, stream: str = 'pair/paragraph', join: Any = None):
        if stream not in STREAMS:
            raise ConfigError(f'Unknown text stream {stream!r}.', did_you_mean(stream, STREAMS))
        self.language, self.sources = language, STREAMS[stream]
        self.store, self.keys = open_store(section(language, 'store')), Keys(language)
        if self.keys.of_pairs and stream != 'pair/paragraph':
            raise ConfigError(f'There is no stream {stream!r}: the prompt {self.keys.prompt.id} is about pairs.',
                              "Set stream='pair/paragraph', or a prompt about one image.")
        self.join = join_rule(join, 1 if self.keys.of_pairs else len(self.sources))
        self.remedy = ('Run `vlfusion describe CONFIG` with the config, folders and words of this run: it describes '
                       f'only what is missing in {language["store"]}. Run it again after changes to the language '
                       'section.')
        if join:
            self.remedy += " If a text is too long, raise join.tokens or set join.longer='cut'."
        self._keys: dict[Subject, str] = {}

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        [both] = subjects_of([pair], of_pairs=True)
        subjects = [both] if self.keys.of_pairs else [both.images['ab'.index(source)] for source in self.sources]
        keys = [(subject, self._key(subject)) for subject in subjects]
        missing = [str(subject) for subject, key in keys if not self.store.has('features', key)]
        if missing:
            raise DataError(f'not described yet: {", ".join(missing)}', self.remedy)
        parts = [self.store.features(key) for _, key in keys]
        if len({part.shape[1] for part in parts}) > 1:
            raise DataError(f'features of different widths, {" and ".join(str(part.shape[1]) for part in parts)}',
                            self.remedy)
        return require_finite(self.join(parts).astype(np.float32), ' and '.join(str(subject) for subject, _ in keys),
                              self.remedy)

    def words(self, pair: Pair) -> dict[str, str]:
        texts = paragraphs(self.language, pair)
        if self.keys.of_pairs:
            return texts
        return {heading: text for heading, text in texts.items() if heading[len('source ')].lower() in self.sources}

    def _key(self, subject: Subject) -> str:
        """Return the key of the features of an image or a pair. Files are read and hashed once."""
        if subject not in self._keys:
            self._keys[subject] = self.keys.feature(*content_of(subject))
        return self._keys[subject]


class FixedText(TextSource):
    """Features of one text for every pair, such as an instruction, from the text store.

    Args:
        language: `language` section of a config, of which the store and the encoder are used.
        text: the text, maybe empty, which `vlfusion describe` encodes once.
    """

    def __init__(self, language: dict, text: str):
        self.text, self.language, self.store = text, language, open_store(section(language, 'store'))
        self.key = Keys(language).fixed(text)
        self.remedy = 'Run `vlfusion describe CONFIG` with the config of this run: it encodes the text once.'

    def check(self, pairs: Sequence[Pair]) -> None:
        self.dim = self.features.shape[1]

    def length(self, pairs: Sequence[Pair]) -> int:
        return len(self.features)

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        return self.features

    def words(self, pair: Pair) -> dict[str, str]:
        return {'every pair': self.text} if self.text else {}

    @cached_property
    def features(self) -> Float[np.ndarray, 'token dim']:
        """The features; raises DataError if the store lacks them."""
        if not self.store.has('features', self.key):
            raise DataError(f'the fixed text {self.text!r} is not encoded yet', self.remedy)
        return self.store.features(self.key).astype(np.float32)


class WrittenText(TextSource):
    """Features of texts that somebody wrote about each pair, one file a text, from the text store.

    `vlfusion describe` encodes each text once, as it does with fixed texts. Blanks at both ends do not count.

    Args:
        language: `language` section of a config, of which the store and the encoder are used.
        root: folder that the patterns are relative to.
        patterns: pattern of the files, such as `text/{name}.txt`, or several, whose features are joined in this order.
        join: rule that joins the features of several texts, see `vlfusion.data.joining`; None joins all tokens.
    """

    def __init__(self, language: dict, root: str | os.PathLike, patterns: str | Sequence[str], join: Any = None):
        self.root, self.patterns = Path(root), [patterns] if isinstance(patterns, str) else list(patterns)
        self.language = language
        self.store, self.keys = open_store(section(language, 'store')), Keys(language)
        self.join = join_rule(join, len(self.patterns))
        self.remedy = 'Run `vlfusion describe CONFIG` with the config of this run: it encodes each text once.'

    def check(self, pairs: Sequence[Pair]) -> None:
        for pattern in self.patterns:
            if len(pairs) > 1 and '{name}' not in pattern:
                raise ConfigError(f'Every pair would read the same text, {self.root / pattern}.',
                                  'Write {name} for the name of a pair, as in text/{name}.txt, or use dict(fixed=...).')
        self.all_texts(pairs)
        super().check(pairs)

    def texts(self, pair: Pair) -> list[str]:
        """Return the texts of a pair; raise DataError if a file is missing, empty or not UTF-8."""
        return [self._read(pattern, pair) for pattern in self.patterns]

    def all_texts(self, pairs: Sequence[Pair]) -> list[str]:
        """Return the texts of all pairs, in order.

        Raises:
            DataError: names the pairs without a text, and the files that are the text of no pair.
        """
        texts, problems = [], []
        for pair in pairs:
            for pattern in self.patterns:
                try:
                    texts.append(self._read(pattern, pair))
                except DataError as error:
                    problems.append(f'{pair.name}: {error.problem}')
        if problems:
            surplus = [f'the text of no pair: {path}' for path in self.surplus(pairs)]
            folders = dict.fromkeys(contents_of(self._path(pattern, '').parent) for pattern in self.patterns)
            raise DataError(f'{len(problems)} of {len(pairs) * len(self.patterns)} texts cannot be read:\n'
                            f'{listing(problems, MOST)}\n{listing(surplus or folders, MOST)}',
                            'Write the texts, name the files like the pairs, or choose the pairs with `names`.')
        return texts

    def surplus(self, pairs: Sequence[Pair]) -> list[Path]:
        """Return the files that fit a pattern but are the text of none of these pairs."""
        known = {self._path(pattern, pair.name) for pattern in self.patterns for pair in pairs}
        places = ['*'.join(map(glob.escape, os.path.join(self.root, pattern).split('{name}')))
                  for pattern in self.patterns]
        return [path for place in places for path in map(Path, sorted(glob.glob(place))) if path not in known]

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        return self.join([self._features(text, pair) for text in self.texts(pair)])

    def words(self, pair: Pair) -> dict[str, str]:
        folders = [Path(pattern).parent.name or 'pair' for pattern in self.patterns]
        headings = folders if len({*folders}) == len(folders) else self.patterns
        return dict(zip(headings, self.texts(pair), strict=True))

    def _path(self, pattern: str, name: str) -> Path:
        return spelled(lambda spelling: self.root / pattern.replace('{name}', spelling), name)

    def _read(self, pattern: str, pair: Pair) -> str:
        path = self._path(pattern, pair.name)
        try:
            text = path.read_text(encoding='utf-8').strip()
        except FileNotFoundError as error:
            raise DataError(f'there is no text {path}', 'Put a text file (UTF-8) there.') from error
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f'the text {path} cannot be read: {error}', 'Put a text file (UTF-8) there.') from error
        if not text:
            raise DataError(f'the text {path} is empty', "Write the text, or use text_policy='empty' for all pairs.")
        return text

    def _features(self, text: str, pair: Pair) -> Float[np.ndarray, 'token dim']:
        key = self.keys.fixed(text)
        if not self.store.has('features', key):
            raise DataError(f'the text of {pair.name} is not encoded yet', self.remedy)
        return require_finite(self.store.features(key).astype(np.float32), f'the text of {pair.name}', self.remedy)


def encode_given(sources: Iterable[TextSource], pairs: Iterable[Pair]) -> None:
    """Encode the texts of some pairs that no LLM writes, each by the section of its source; errors as `given_texts`."""
    pairs, alike = list(pairs), {}
    for source in sources:
        if isinstance(source, FixedText | WrittenText):
            alike.setdefault(id(source.language), []).append(source)
    for group in alike.values():  # each encoder is loaded once
        encode_fixed(group[0].language, given_texts(group, pairs))


def given_texts(sources: Iterable[TextSource], pairs: Iterable[Pair]) -> list[str]:
    """Return the texts that an encoder must read for some pairs and no LLM writes: fixed ones and those of files.

    Raises:
        DataError: as for `WrittenText.all_texts`.
    """
    texts, pairs = [], list(pairs)
    for source in sources:
        if isinstance(source, FixedText):
            texts.append(source.text)
        if isinstance(source, WrittenText):
            texts += source.all_texts(pairs)
    return list(dict.fromkeys(texts))


def paragraphs(language: Mapping, pair: Pair) -> dict[str, str]:
    """Return the paragraphs of a pair or of its images that the text store holds, by subject."""
    keys, store = Keys(language), open_store(section(language, 'store'))
    headings = ['pair'] if keys.of_pairs else [f'source A, {pair.modality_a}', f'source B, {pair.modality_b}']
    [both] = subjects_of([pair], of_pairs=True)
    texts = {}
    for heading, subject in zip(headings, [both] if keys.of_pairs else both.images, strict=True):
        try:
            texts[heading.rstrip(', ')] = store.checked('paragraphs', keys.paragraph(*content_of(subject)))['text']
        except DataError:
            continue  # words are shown as far as they exist
    return texts


def text_configs(config: Any) -> dict[str, Mapping]:
    """Return the entries of a config's `text_source`, by the keyword of the backbone's `forward` for each text.

    >>> text_configs(dict(fixed='Fuse them.'))
    {'text': {'fixed': 'Fuse them.'}}
    >>> list(text_configs(dict(text_a=dict(stream='source_a/paragraph'), instruction=dict(fixed='Fuse them.'))))
    ['text_a', 'instruction']

    Raises:
        ConfigError: the name of a text is not valid, or one text is mixed with several.
    """
    if not config:
        return {}
    if not isinstance(config, Mapping):
        raise ConfigError(f'text_source is {config!r}.', "Write text_source=dict(stream='pair/paragraph').")
    several = [isinstance(value, Mapping) for key, value in config.items() if key != 'join']
    if not any(several):
        return {'text': _checked(config)}
    if not all(several) or 'join' in config:
        raise ConfigError(f'text_source={dict(config)} mixes one text with several.',
                          'Give each text its own dict. Add _delete_=True to text_source if a _base_ sets another one.')
    require_keywords(config, 'text', 'text_a=dict(stream=...)')
    return {name: _checked(entry) for name, entry in config.items()}


def described(source: Any) -> dict[str, Any]:
    """Return a `text_source` with descriptions of the images where it has features or texts from files.

    >>> described(dict(files='TextFeature/{name}.npy'))
    {'stream': 'pair/paragraph'}
    >>> described(dict(text=dict(files='TextFeature/{name}.npy'), instruction=dict(fixed='Show the PET.')))
    {'text': {'stream': 'pair/paragraph'}, 'instruction': {'fixed': 'Show the PET.'}}
    """
    entries = {name: dict(stream='pair/paragraph') if entry.keys() & {'files', 'texts'} else dict(entry)
               for name, entry in text_configs(source).items()}
    return entries['text'] if entries.keys() == {'text'} else entries


def _checked(config: Mapping) -> Mapping:
    """Return the entry of one text unchanged; raise ConfigError if its fixed text is empty or not a string."""
    text = config.get('fixed', 'none')
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f'The fixed text is {text!r}.',
                          "Write text_source=dict(fixed='Fuse the two images.'), or text_policy='empty'.")
    return config


def text_sources(config: Mapping | None, language: dict | None, root: str | os.PathLike) -> dict[str, TextSource]:
    """Build the sources of a config's `text_source`, by the backbone's keyword; empty for None.

    Args:
        config: for one text, which the backbone takes as `text`: `dict(files=PATTERN)`, `dict(stream=NAME)` with an
            optional `join`, `dict(texts=PATTERN)` or of several patterns with an optional `join`, or
            `dict(fixed=TEXT)`; for several texts, a dict of these by keyword, such as
            `dict(text_a=dict(stream='source_a/paragraph'), instruction=dict(fixed='Fuse them.'))`.
        language: language section of the config, which the text store needs. Its `instruction_encoder`, if there is
            one, encodes the text `instruction`.
        root: folder that files are relative to.

    Raises:
        ConfigError: `config` has another form.
    """
    return {name: _source(entry, section_of(name, language) if language else language, root)
            for name, entry in text_configs(config).items()}


def _source(config: Mapping, language: dict | None, root: str | os.PathLike) -> TextSource:
    if set(config) == {'files'}:
        return FeatureFiles(root, config['files'])
    if 'stream' in config and set(config) <= {'stream', 'join'} and language:
        return StoredText(language, **config)
    if 'texts' in config and set(config) <= {'texts', 'join'} and language:
        return WrittenText(language, root, config['texts'], config.get('join'))
    if set(config) == {'fixed'} and language:
        return FixedText(language, config['fixed'])
    raise ConfigError(f'text_source={dict(config)} does not say where text features come from.',
                      "Write text_source=dict(stream='pair/paragraph'), dict(texts='text/{name}.txt') or "
                      "dict(fixed='...') and pass the config's language section as language=...,\n     or "
                      "text_source=dict(files='TextFeature/.../{name}.npy').")


def require_finite(text: Float[np.ndarray, 'token dim'], origin: str, remedy: str) -> Float[np.ndarray, 'token dim']:
    """Return the features unchanged; raise DataError, which names their origin, if they hold NaN or infinity."""
    if not np.isfinite(text).all():
        raise DataError(f'The text features of {origin} hold NaN or infinity.', remedy)
    return text


def pad(text: Float[np.ndarray, 'token dim'],
        length: int) -> tuple[Float[np.ndarray, 'length dim'], Bool[np.ndarray, ' length']]:
    """Pad the features with zero rows to `length`, and return a mask that is True for tokens too.

    >>> pad(np.ones((2, 4), np.float32), 3)[1]
    array([ True,  True, False])

    Raises:
        DataError: the text has no token.
    """
    if not len(text):
        raise DataError('A text has no token.',
                        'Encode at least one token for each pair; an empty string too has start and end tokens.')
    padded = np.empty((length, text.shape[1]), np.float32)
    padded[:len(text)], padded[len(text):] = text, 0
    return padded, np.arange(length) < len(text)
