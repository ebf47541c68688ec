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
import uuid
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float

from vlfusion.config import without_secrets
from vlfusion.errors import ConfigError, DataError, UnknownNameError, did_you_mean
from vlfusion.language.prompt import load_prompt
from vlfusion.registry import CAPTIONERS, LLMS, TEXT_ENCODERS, Registry

STAGES = ('observations', 'paragraphs', 'features')
FAILURES = 'failures'
#: Config keys that change how a part runs, not what it makes.
RUNTIME_KEYS = ('device', 'batch_size', 'num_workers', 'concurrency', 'timeout', 'max_retries', 'api_key_env',
                'api_key_file', 'requests_per_minute', 'tokens_per_minute', 'price_prompt', 'price_completion',
                'budget', 'budget_tokens')


class TextStore:
    """Records in files. A record is written beside its place and moved there, its array first, so a record that can be
    found is whole, a killed run loses at most the record in flight, and several processes can fill one store.

    Args:
        root: the folder; made at the first write.
    """

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)

    def path(self, stage: str, key: str) -> Path:
        """Where the record of a key lies; the array of a feature has the ending `.npy` instead."""
        if stage not in (*STAGES, FAILURES):
            raise UnknownNameError(f'The text store has no stage {stage!r}.', did_you_mean(stage, STAGES))
        return self.root / stage / key[:2] / f'{key}.json'

    def has(self, stage: str, key: str) -> bool:
        """Whether there is a record."""
        return self.path(stage, key).is_file()

    def read(self, stage: str, key: str) -> dict:
        """The record of a key.

        Raises:
            DataError: there is none, or it is damaged.
        """
        path = self._existing(stage, key)
        try:
            record = json.loads(path.read_bytes())
        except ValueError as error:
            raise _damaged(path, error) from error
        if not isinstance(record, dict):
            raise _damaged(path, 'it holds no record')
        return record

    def features(self, key: str) -> Float[np.ndarray, 'token dim']:
        """The token features of a key.

        Raises:
            DataError: there are none, or they are damaged.
        """
        path = self._existing('features', key).with_suffix('.npy')
        try:
            features = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise _damaged(path, error) from error
        if features.ndim != 2 or features.dtype.kind != 'f':
            raise _damaged(path, f'expected floats (token, dim), it holds {features.dtype} {features.shape}')
        return features

    def write(self, stage: str, key: str, record: dict, array: np.ndarray | None = None) -> None:
        """Write a record, and its array where it has one; one of the same key is replaced. Secrets are left out."""
        path = self.path(stage, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        if array is not None:
            _write_whole(path.with_suffix('.npy'), lambda file: np.save(file, array, allow_pickle=False))
        text = json.dumps(without_secrets(record), indent=1, ensure_ascii=False)
        _write_whole(path, lambda file: file.write(text.encode()))

    def remove(self, stage: str, key: str) -> None:
        """Take a record out, if there is one."""
        self.path(stage, key).unlink(missing_ok=True)

    def _existing(self, stage: str, key: str) -> Path:
        path = self.path(stage, key)
        if not path.is_file():
            raise DataError(f'The text store has no record {path}.',
                            'Run `vlfusion describe CONFIG` with this config, or mend its language.store.')
        return path


def image_digest(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes: the same image under another name is the same image.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with open(path, 'rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()
    except OSError as error:
        raise DataError(f'Cannot read the image {path}: {error}.', 'Check the path and its permissions.') from error


class Keys:
    """The keys of images under one `language` section of a config, whose parts are looked up once for all of them.

    Args:
        language: the section; `observation` asks for its captioners only, `paragraph` for its prompt and LLM as well.
    """

    def __init__(self, language: Mapping):
        self._language = language

    def observation(self, image_sha256: str, modality: str) -> str:
        """The key of what the configured captioners see in an image.

        Args:
            image_sha256: the image's `image_digest`.
            modality: what kind of image the captioners were told it is.

        Raises:
            ConfigError: the section lacks a key, or a part lacks its `type`.
            UnknownNameError: a part is not registered.
        """
        return _sha256(f'{{"captioners":{self._captioners},"image":{_canonical(image_sha256)},'
                       f'"modality":{_canonical(modality)}}}')

    def paragraph(self, image_sha256: str, modality: str) -> str:
        """The key of what the configured LLM writes of these observations; see `observation`."""
        llm, prompt = self._llm_and_prompt
        observations = self.observation(image_sha256, modality)
        return _sha256(f'{{"llm":{llm},"observations":"{observations}","prompt":{prompt}}}')

    def feature(self, image_sha256: str, modality: str) -> str:
        """The key of what the configured text encoder makes of this paragraph; see `observation`."""
        return _sha256(f'{{"encoder":{self._encoder},"paragraph":"{self.paragraph(image_sha256, modality)}"}}')

    # Each is a piece of canonical JSON, so that a key is that of the whole dict.
    @cached_property
    def _captioners(self) -> str:
        return _canonical([identity(CAPTIONERS, captioner) for captioner in section(self._language, 'captioners')])

    @cached_property
    def _llm_and_prompt(self) -> tuple[str, str]:
        prompt = load_prompt(section(self._language, 'prompt'))
        return _canonical(identity(LLMS, section(self._language, 'llm'))), _canonical([prompt.id, prompt.sha256])

    @cached_property
    def _encoder(self) -> str:
        return _canonical(identity(TEXT_ENCODERS, section(self._language, 'encoder')))


def observation_key(language: Mapping, image_sha256: str, modality: str) -> str:
    """`Keys(language).observation(...)`, for a single image."""
    return Keys(language).observation(image_sha256, modality)


def paragraph_key(language: Mapping, image_sha256: str, modality: str) -> str:
    """`Keys(language).paragraph(...)`, for a single image."""
    return Keys(language).paragraph(image_sha256, modality)


def feature_key(language: Mapping, image_sha256: str, modality: str) -> str:
    """`Keys(language).feature(...)`, for a single image."""
    return Keys(language).feature(image_sha256, modality)


def section(language: Mapping, key: str) -> Any:
    """One entry of the `language` section of a config.

    Raises:
        ConfigError: it is missing or empty.
    """
    if not language.get(key):
        raise ConfigError(f'The language section of the config has no {key!r}.',
                          'It needs store, captioners, llm, prompt and encoder.')
    return language[key]


def identity(registry: Registry, part: Any) -> dict:
    """What decides the result of a captioner, LLM or text encoder: its config without runtime keys and secrets, the
    package and name of its class, and the version of that class. A part inside it, as a labeller, counts likewise.

    >>> identity(LLMS, dict(type='TemplateLLM', timeout=10))
    {'type': 'vlfusion.TemplateLLM', 'version': '1'}
    """
    if not isinstance(part, Mapping) or 'type' not in part:
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
    return hashlib.sha256(text.encode()).hexdigest()


def _write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    partial = path.with_name(f'.{path.name}.{uuid.uuid4().hex}.partial')
    try:
        with open(partial, 'wb') as file:
            write(file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _damaged(path: Path, cause: object) -> DataError:
    return DataError(f'The record {path} is damaged: {cause}.',
                     f'Delete {path.with_suffix(".json").name} beside it and run `vlfusion describe CONFIG` again.')
