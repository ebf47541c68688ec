"""Keys of records in the text store.

A key is the SHA-256 of canonical JSON: the content of an image, and the configs that matter for that stage. The key of
a later stage holds the key of the stage before it. So a changed captioner changes all keys, and a changed encoder only
those of features.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vlfusion.errors import ConfigError
from vlfusion.guards.redaction import without_secrets
from vlfusion.language.former import images_of
from vlfusion.language.prompt import PromptTemplate, load_prompt
from vlfusion.language.section import check_section, section
from vlfusion.registry import CAPTIONERS, LLMS, TEXT_ENCODERS, Registry

#: Config keys that change how a part runs, but not its result.
RUNTIME_KEYS = ('device', 'batch_size', 'num_workers', 'concurrency', 'timeout', 'max_retries', 'api_key_env',
                'api_key_file', 'requests_per_minute', 'tokens_per_minute', 'price_prompt', 'price_completion',
                'budget', 'budget_tokens')


@dataclass(frozen=True)
class Content:
    """Identity of an image in the store: its `vlfusion.language.subjects.image_digest` and its modality."""

    sha256: str
    modality: str


class Keys:
    """Keys of images or pairs under one `language` section of a config.

    A prompt about a pair gives one description of two images; any other prompt gives one of each image. Observations
    of single images have their own keys in both cases, so the paragraph of a pair can use them.

    Args:
        language: the section. `observation` reads its captioners only, `paragraph` its prompt and LLM as well.

    Raises:
        ConfigError: in any method: the section lacks a key, a part lacks its `type`, or a captioner of pairs is
            combined with a prompt about one image.
        UnknownNameError: in any method: a part or the prompt does not exist.
    """

    def __init__(self, language: Mapping):
        check_section(language)
        self._language = language

    @cached_property
    def of_pairs(self) -> bool:
        """True if one description is of a pair."""
        return self.prompt.of_pair

    @cached_property
    def prompt(self) -> PromptTemplate:
        """The configured prompt."""
        return load_prompt(section(self._language, 'prompt'))

    def scenes(self, *images: Content) -> list[tuple[Content, ...]]:
        """Return the scenes that the captioners look at: the image, or each image of a pair and then both."""
        if len(images) == 1:
            return [images]
        return [*((image,) for image in images if self._captioners[1]), *([images] if self._captioners[2] else [])]

    def observation(self, *scene: Content) -> str:
        """Return the key of the observations of one scene: an image, or both images of a pair at once."""
        images = [[image.sha256, image.modality] for image in scene]
        captioners = self._captioners[len(scene)]
        if len(scene) == 1:
            [[digest, modality]] = images
            return key_of({'captioners': captioners, 'image': digest, 'modality': modality})
        return key_of({'captioners': captioners, 'images': images})

    def paragraph(self, *images: Content) -> str:
        """Return the key of the paragraph that the LLM writes about an image or a pair."""
        observations = [self.observation(*scene) for scene in self.scenes(*images)]
        return key_of({'llm': self._llm, 'prompt': [self.prompt.id, self.prompt.sha256],
                       'observations': observations[0] if len(images) == 1 else observations})

    def feature(self, *images: Content) -> str:
        """Return the key of the features that the text encoder makes of the paragraph of an image or a pair."""
        return key_of({'encoder': self._encoder, 'paragraph': self.paragraph(*images)})

    def fixed(self, text: str) -> str:
        """Return the key of the features of a fixed text."""
        return key_of({'encoder': self._encoder, 'text': text})

    @cached_property
    def _captioners(self) -> dict[int, list[dict]]:
        """Return the identities of the captioners by the number of images that they see at once."""
        captioners: dict[int, list[dict]] = {1: [], 2: []}
        for part in section(self._language, 'captioners'):
            part_identity, images = identity(CAPTIONERS, part), images_of(CAPTIONERS.get(part['type']))
            if images == 2 and 'prompt' in self._language and not self.of_pairs:
                raise ConfigError(f'{part["type"]} sees pairs, but the prompt {self.prompt.id} is about one image.',
                                  "Write prompt='pair' in the language section, or use a captioner of single images.")
            captioners[images].append(part_identity)
        return captioners

    @cached_property
    def _llm(self) -> dict:
        return identity(LLMS, section(self._language, 'llm'))

    @cached_property
    def _encoder(self) -> dict:
        return identity(TEXT_ENCODERS, section(self._language, 'encoder'))


def identity(registry: Registry, part: Any) -> dict:
    """Return the facts that decide the result of a captioner, LLM or text encoder.

    They are its config without runtime keys and secrets, the package and name of its class, and the version of the
    class. A part inside it, such as a labeller, is replaced by its own identity.

    >>> identity(LLMS, dict(type='TemplateLLM', timeout=10))
    {'type': 'vlfusion.TemplateLLM', 'version': '1'}

    Raises:
        ConfigError: the config has no `type`, or the class has no version.
        UnknownNameError: no part of that type is registered.
    """
    if not isinstance(part, Mapping) or not isinstance(part.get('type'), str):
        raise ConfigError(f'The config of a {registry.name} must be a dict with a type, but the language section has a '
                          f'{type(part).__name__} without a type.',
                          f'Write dict(type=...) with one of {", ".join(registry.names())}.')
    cls = registry.get(part['type'])
    if not isinstance(getattr(cls, 'version', None), str):
        raise ConfigError(f'The {registry.name} {part["type"]!r} has no version.',
                          "Give the class an attribute version = '1'; the text store needs it to tell records apart.")
    arguments = {key: identity(registry, value) if isinstance(value, Mapping) and 'type' in value else value
                 for key, value in part.items() if key not in ('type', *RUNTIME_KEYS)}
    package = cls.__module__.partition('.')[0]
    return {'type': f'{package}.{cls.__name__}', 'version': cls.version, **without_secrets(arguments)}


def key_of(facts: Mapping) -> str:
    """Return the SHA-256 of facts as canonical JSON: sorted keys, no spaces, UTF-8.

    Raises:
        ConfigError: the facts hold something that is not plain data.
    """
    try:
        text = json.dumps(facts, sort_keys=True, separators=(',', ':'), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f'The language section of the config holds something that is not plain data: {error}.',
                          'Use strings, numbers, True, False, None, lists and dicts.') from error
    return hashlib.sha256(text.encode(errors='backslashreplace')).hexdigest()


def observation_key(language: Mapping, image_sha256: str, modality: str) -> str:
    """`Keys(language).observation(Content(...))`, for a single image."""
    return Keys(language).observation(Content(image_sha256, modality))


def paragraph_key(language: Mapping, image_sha256: str, modality: str) -> str:
    """`Keys(language).paragraph(Content(...))`, for a single image."""
    return Keys(language).paragraph(Content(image_sha256, modality))


def feature_key(language: Mapping, image_sha256: str, modality: str) -> str:
    """`Keys(language).feature(Content(...))`, for a single image."""
    return Keys(language).feature(Content(image_sha256, modality))
