"""The text store: what the language stage made of each image, and the keys under which training finds it.

    <root>/observations/ab/abcd....json     what the captioners saw
    <root>/paragraphs/12/1234....json       what the LLM wrote of it
    <root>/features/9f/9f00....json, .npy   the paragraph's token features
    <root>/failures/9f/9f00....json         why an image could not be described, until it could

A key is a hash of the image's content and of the configs that matter for that stage, so another text encoder asks for
new features and keeps every paragraph. Computing keys and reading features needs no language library.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vlfusion.errors import ConfigError, DataError, UnknownNameError, did_you_mean
from vlfusion.files import write_array, write_whole
from vlfusion.guards.redaction import without_secrets
from vlfusion.imaging.reading.file import read_file
from vlfusion.imaging.reading.rule import AS_STORED, Reading
from vlfusion.imaging.reading.tiff import orientation_of
from vlfusion.language.answers import encodable, readable
from vlfusion.language.interfaces import Observation
from vlfusion.language.prompt import PromptTemplate, load_prompt
from vlfusion.language.records import fault, parse_record
from vlfusion.language.section import check_section, section
from vlfusion.registry import CAPTIONERS, LLMS, TEXT_ENCODERS, Registry

STAGES = ('observations', 'paragraphs', 'features')
FAILURES = 'failures'
#: Config keys that change how a part runs, not what it makes.
RUNTIME_KEYS = ('device', 'batch_size', 'num_workers', 'concurrency', 'timeout', 'max_retries', 'api_key_env',
                'api_key_file', 'requests_per_minute', 'tokens_per_minute', 'price_prompt', 'price_completion',
                'budget', 'budget_tokens')


#: How the header of each version of NumPy's files is read.
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class TextStore:
    """Records in files. A record is written beside its place and moved there, its array first, so a record that can be
    found is whole, a killed run loses at most the record in flight, and several processes can fill one store.

    Args:
        root: the folder; made at the first write.
    """

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)

    def path(self, stage: str, key: str) -> Path:
        """Path of the record of a key; the array of a feature has the ending `.npy` instead."""
        if stage not in (*STAGES, FAILURES):
            raise UnknownNameError(f'The text store has no stage {stage!r}.', did_you_mean(stage, STAGES))
        return self.root / stage / key[:2] / f'{key}.json'

    def has(self, stage: str, key: str) -> bool:
        """Tell whether there is a record."""
        return self.path(stage, key).is_file()

    def read(self, stage: str, key: str) -> dict:
        """The record of a key.

        Raises:
            DataError: there is none, or it is damaged.
        """
        path = self._existing(stage, key)
        try:
            return parse_record(path.read_bytes())
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error

    def checked(self, stage: str, key: str) -> dict:
        """The record of a key, with every entry that is read later in its right form; one of features with its array.

        Raises:
            DataError: there is none, or it is damaged; names the file and the entry.
        """
        record = self.read(stage, key)
        if problem := fault(stage, record):
            raise _damaged(self.path(stage, key), problem)
        for name, size in zip(('tokens', 'dim'), self.features(key).shape if stage == 'features' else (), strict=False):
            if record.get(name, size) != size:
                raise _damaged(self.path(stage, key), f'{name!r} is {record[name]}, but the array beside it has {size}')
        return record

    def is_intact(self, stage: str, key: str) -> bool:
        """True if there is a record that is not damaged, see `checked`."""
        try:
            return self.has(stage, key) and bool(self.checked(stage, key))
        except DataError:
            return False

    def features(self, key: str) -> Float[np.ndarray, 'token dim']:
        """The token features of a key.

        Raises:
            DataError: there are none, or they are damaged.
        """
        path = self._existing('features', key).with_suffix('.npy')
        try:
            return _load_features(path)
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error

    def write(self, stage: str, key: str, record: dict, array: np.ndarray | None = None) -> None:
        """Write a record, and its array where it has one; one of the same key is replaced. Secrets are left out."""
        path = self.path(stage, key)
        if array is not None:
            write_array(path.with_suffix('.npy'), array)
        text = encodable(json.dumps(without_secrets(record), indent=1, ensure_ascii=False))
        write_whole(path, text.encode())

    def remove(self, stage: str, key: str) -> None:
        """Take a record out, if there is one."""
        self.path(stage, key).unlink(missing_ok=True)

    def _existing(self, stage: str, key: str) -> Path:
        path = self.path(stage, key)
        if not path.is_file():
            raise DataError(f'The text store has no record {path}.',
                            'Run `vlfusion describe CONFIG` with this config, or correct its language.store.')
        return path


def image_digest(path: str | os.PathLike, reading: Reading = AS_STORED) -> str:
    """The SHA-256 of a file's bytes: the same image under another name is the same image.

    Turned upright, or read by a rule, it is another image, whose hash is that of both: `SHA-256 orientation=6 RULE`.

    Raises:
        DataError: the file cannot be read.
    """
    data = read_file(path)
    digest = hashlib.sha256(data).hexdigest()
    orientation = orientation_of(data, reading.page)
    seen = ' '.join([digest, *([f'orientation={orientation}'] if orientation > 1 else []), str(reading)]).strip()
    return digest if seen == digest else _sha256(seen)


@dataclass(frozen=True)
class Content:
    """An image by what is in it: its `image_digest`, and what the captioners are told it is."""

    sha256: str
    modality: str


class Keys:
    """The keys of images or pairs under one `language` section of a config, whose parts are looked up once for all.

    A prompt about a pair makes one description of two images; any other makes one of each image. What captioners saw in
    one image is kept by itself either way, so a pair's paragraph may be written from what is known of its images.

    Args:
        language: the section; `observation` asks for its captioners only, `paragraph` for its prompt and LLM as well.

    Raises:
        ConfigError: by any method: the section lacks a key, a part lacks its `type`, or a captioner of pairs stands
            beside a prompt about one image.
        UnknownNameError: likewise: a part or the prompt does not exist.
    """

    def __init__(self, language: Mapping):
        check_section(language)
        self._language = language

    @cached_property
    def of_pairs(self) -> bool:
        """Tell whether one description is of a pair."""
        return self.prompt.of_pair

    @cached_property
    def prompt(self) -> PromptTemplate:
        """The configured prompt."""
        return load_prompt(section(self._language, 'prompt'))

    def captioners(self, images: int) -> list[Mapping]:
        """The configs of the captioners that see one image, or two at once."""
        parts = section(self._language, 'captioners')
        return [part for part in parts if identity(CAPTIONERS, part)
                and (images == 2) == hasattr(CAPTIONERS.get(part['type']), 'observe_pairs')]

    def sights(self, *images: Content) -> list[tuple[Content, ...]]:
        """Images that captioners look at for a description: its image; or for a pair each, then both at once."""
        if len(images) == 1:
            return [images]
        return [*((image,) for image in images if self._captioners[1] != '[]'),
                *((images,) if self._captioners[2] != '[]' else ())]

    def observation(self, *images: Content) -> str:
        """The key of what the configured captioners see in an image, or in both of a pair at once."""
        if len(images) == 1:
            [image] = images
            return _sha256(f'{{"captioners":{self._captioners[1]},"image":{_canonical(image.sha256)},'
                           f'"modality":{_canonical(image.modality)}}}')
        shown = _canonical([[image.sha256, image.modality] for image in images])
        return _sha256(f'{{"captioners":{self._captioners[2]},"images":{shown}}}')

    def paragraph(self, *images: Content) -> str:
        """The key of what the configured LLM writes of an image or a pair."""
        llm, prompt = self._llm_and_prompt
        seen = [self.observation(*sight) for sight in self.sights(*images)]
        return _sha256(f'{{"llm":{llm},"observations":{_canonical(seen[0] if len(images) == 1 else seen)},'
                       f'"prompt":{prompt}}}')

    def feature(self, *images: Content) -> str:
        """The key of what the configured text encoder makes of this paragraph."""
        return _sha256(f'{{"encoder":{self._encoder},"paragraph":"{self.paragraph(*images)}"}}')

    def fixed(self, text: str) -> str:
        """The key of what the configured text encoder makes of a text that is about no image."""
        return _sha256(f'{{"encoder":{self._encoder},"text":{_canonical(text)}}}')

    # Each is a piece of canonical JSON, so that a key is that of the whole dict.
    @cached_property
    def _captioners(self) -> dict[int, str]:
        of_pairs = self.captioners(2)
        if of_pairs and 'prompt' in self._language and not self.of_pairs:
            raise ConfigError(f'{of_pairs[0]["type"]} sees pairs, but the prompt {self.prompt.id} is about one image.',
                              "Write prompt='pair' in the language section, or use a captioner of single images.")
        return {count: _canonical([identity(CAPTIONERS, part) for part in self.captioners(count)]) for count in (1, 2)}

    @cached_property
    def _llm_and_prompt(self) -> tuple[str, str]:
        return (_canonical(identity(LLMS, section(self._language, 'llm'))),
                _canonical([self.prompt.id, self.prompt.sha256]))

    @cached_property
    def _encoder(self) -> str:
        return _canonical(identity(TEXT_ENCODERS, section(self._language, 'encoder')))


def observation_key(language: Mapping, image_sha256: str, modality: str) -> str:
    """`Keys(language).observation(Content(...))`, for a single image."""
    return Keys(language).observation(Content(image_sha256, modality))


def paragraph_key(language: Mapping, image_sha256: str, modality: str) -> str:
    """`Keys(language).paragraph(Content(...))`, for a single image."""
    return Keys(language).paragraph(Content(image_sha256, modality))


def feature_key(language: Mapping, image_sha256: str, modality: str) -> str:
    """`Keys(language).feature(Content(...))`, for a single image."""
    return Keys(language).feature(Content(image_sha256, modality))


def stored(seen: Observation) -> dict:
    """An observation as a record keeps it."""
    return {name: readable(value) if name == 'text' else value for name, value in asdict(seen).items()
            if name != 'modality'}


def identity(registry: Registry, part: Any) -> dict:
    """Facts that decide the result of a captioner, LLM or text encoder: its config without runtime keys and secrets,
    the package and name of its class, and the version of that class. A part inside it, as a labeller, counts likewise.

    >>> identity(LLMS, dict(type='TemplateLLM', timeout=10))
    {'type': 'vlfusion.TemplateLLM', 'version': '1'}
    """
    if not isinstance(part, Mapping) or not isinstance(part.get('type'), str):
        raise ConfigError(f'The config of a {registry.name} is a dict with a type, but the language section has a '
                          f'{type(part).__name__} without one.',
                          f'Write dict(type=...) with one of {", ".join(registry.names())}.')
    cls = registry.get(part['type'])
    if not isinstance(getattr(cls, 'version', None), str):
        raise ConfigError(f'The {registry.name} {part["type"]!r} has no version.',
                          "Give the class an attribute version = '1'; the text store needs it to tell records apart.")
    arguments = {key: identity(registry, value) if isinstance(value, Mapping) and 'type' in value else value
                 for key, value in part.items() if key not in ('type', *RUNTIME_KEYS)}
    package = cls.__module__.partition('.')[0]
    return {'type': f'{package}.{cls.__name__}', 'version': cls.version, **without_secrets(arguments)}


def _canonical(value: Any) -> str:
    """The value as JSON, always in the same form."""
    try:
        return json.dumps(value, sort_keys=True, separators=(',', ':'), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f'The language section of the config holds something that is not plain data: {error}.',
                          'Use strings, numbers, True, False, None, lists and dicts.') from error


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors='backslashreplace')).hexdigest()


def _load_features(path: Path) -> Float[np.ndarray, 'token dim']:
    """The array in a file, which may have been cut or written by others: nothing is allocated that is not there."""
    with open(path, 'rb') as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f'it has the unknown version {version}')
        shape, _, dtype = _HEADERS[version](file)
        if dtype.kind != 'f' or len(shape) != 2 or 0 in shape:
            raise ValueError(f'expected floats (token, dim), it holds {dtype} {shape}')
        rest = os.fstat(file.fileno()).st_size - file.tell()
        if rest != shape[0] * shape[1] * dtype.itemsize:
            raise ValueError(f'it has {rest} bytes of features instead of {shape[0] * shape[1] * dtype.itemsize}')
        file.seek(0)
        features = np.lib.format.read_array(file, allow_pickle=False)
    if not np.isfinite(features).all():
        raise ValueError('it holds NaN or infinity')
    return features


def _damaged(path: Path, cause: object) -> DataError:
    return DataError(f'The record {path} is damaged: {cause}.',
                     'Run `vlfusion describe CONFIG`: it makes a damaged record again.')
