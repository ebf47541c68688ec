"""Form of the `language` section of a config."""

import os
from collections.abc import Mapping
from typing import Any

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.guards.redaction import without_secrets

#: Keys of the section, with the form of each value.
KEYS = {'store': 'the path of a text store', 'captioners': 'a list, each entry a dict with a type',
        'llm': 'a dict with a type', 'prompt': 'the name of a prompt', 'encoder': 'a dict with a type',
        'instruction_encoder': 'a dict with a type', 'fixed': 'a list of texts'}
#: Keys of the text encoders: that of descriptions and other texts, and one for instructions, where they have their own.
ENCODERS = ('encoder', 'instruction_encoder')
#: Name of the text that says how to fuse. It describes no image, so no description takes its place.
INSTRUCTION = 'instruction'
_EXAMPLE = ("Write language=dict(store='data/text', captioners=[dict(type='MeasuredCaptioner')], "
            "llm=dict(type='TemplateLLM'), prompt='paragraph', encoder=dict(type='TransformersTextEncoder')).")


def check_section(language: Any) -> None:
    """Check the keys of the section and the types of their values. Registered names are not looked up.

    Raises:
        ConfigError: the section is not a dict, has an unknown key, or has a value of the wrong type.
    """
    if not isinstance(language, Mapping):
        raise ConfigError(f'language must be a dict, but the config has {language!r}.', _EXAMPLE)
    for key, value in language.items():
        if key not in KEYS:
            raise ConfigError(f'The language section of the config has an unknown key {str(key)!r}.',
                              did_you_mean(str(key), KEYS))
        if value and not _fits(key, value):
            raise ConfigError(f'language.{key} must be {KEYS[key]}, but it is {without_secrets(value)!r}.', _EXAMPLE)


def require_section(language: Any, path: str | os.PathLike | None) -> Mapping:
    """Return the checked section of a config.

    Args:
        language: the section.
        path: the config, for messages; None if it is no file.

    Raises:
        ConfigError: the config has no section, or the section has the wrong form.
    """
    if not language:
        raise ConfigError(f'{path or "The config"} has no language section.',
                          "Add 'vlfusion::_base_/language/measured.py' to its _base_.")
    check_section(language)
    return language


def section_of(text: str, language: Mapping) -> Mapping:
    """Return the section by which a text of this name is encoded: its `instruction_encoder` reads the `instruction`.

    >>> section_of('instruction', dict(encoder=dict(type='A'), instruction_encoder=dict(type='B')))
    {'encoder': {'type': 'B'}}

    Raises:
        ConfigError: the section has the wrong form.
    """
    check_section(language)
    if text != INSTRUCTION or not language.get('instruction_encoder'):
        return language
    rest = {key: value for key, value in language.items() if key != 'instruction_encoder'}
    return rest | {'encoder': language['instruction_encoder']}


def _fits(key: str, value: Any) -> bool:
    if key == 'fixed':
        return isinstance(value, list | tuple) and all(isinstance(text, str) and text.strip() for text in value)
    if key in ('store', 'prompt'):
        return isinstance(value, str | os.PathLike)
    parts = value if key == 'captioners' else [value]
    return isinstance(parts, list | tuple) and all(
        isinstance(part, Mapping) and isinstance(part.get('type'), str) for part in parts)


def section(language: Mapping, key: str) -> Any:
    """Return one entry of the section.

    Raises:
        ConfigError: the entry is missing or empty, or the section has the wrong form.
    """
    check_section(language)
    if not language.get(key):
        raise ConfigError(f'The language section of the config has no {key!r}.',
                          'It needs store, captioners, llm, prompt and encoder.')
    return language[key]
