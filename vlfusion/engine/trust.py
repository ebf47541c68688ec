"""Limits of what a stranger's file may ask for.

A checkpoint holds an experiment as data: a model, and where the model reads text, how images are described. Whoever
wrote the file may be a stranger, so both sections are believed only as far as they stay within this process and the
installed packages: no network, no key, no file and no model from a hub. docs/explain/security.md has the whole picture.
"""

import re
from collections.abc import Iterator, Mapping
from numbers import Number
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from mmengine.model import BaseDataPreprocessor

from vlfusion.config import cache_folder
from vlfusion.errors import CheckpointError, VLFusionError, listing
from vlfusion.guards.redaction import without_secrets
from vlfusion.guards.remote_code import names_remote_code
from vlfusion.language.store import STAGES
from vlfusion.models import FusionModel
from vlfusion.registry import BACKBONES, CAPTIONERS, LLMS, MODELS, TEXT_ENCODERS

#: Values that name a place: paths, addresses and ids of a hub; files by their ending.
_PLACE = re.compile(r'[/\\:~]|^\.|\.(bin|ckpt|gguf|json|np[yz]|onnx|pkl|pt2?|pth|py|safetensors|tar|toml|txt|ya?ml|'
                    r'zip)$', re.IGNORECASE)
#: A device and its number, such as `cuda:1`.
_DEVICE = re.compile(r'[a-z]{2,}(:\d+)?', re.ASCII)
#: Parts of a path that lead out of a folder, and signs that no pattern needs.
_OUTSIDE = re.compile(r'(^|[/\\])\.\.([/\\]|$)|^~|\0')
#: Keys whose values name a place or fetch something, whatever the value looks like.
_PLACE_KEY = re.compile(r'(^|_)(cache|checkpoint|dir|directory|file|filename|folder|hub|path|pretrained|repo|root|url)'
                        r'(_|$)|init_cfg', re.IGNORECASE)
_OWN = ('Where you know its author, --trust-checkpoint takes the file at its word; in Python '
        'Fuser(..., trust=True). In a comparison the config of a method counts in place of its checkpoint.')


def check_model(model: Mapping, origin: str) -> None:
    """Refuse a checkpoint's model section that reaches for files, addresses, a model hub or modules of Python.

    Args:
        model: the section, as data.
        origin: the checkpoint, for the message.

    Raises:
        CheckpointError: names each key and value that reaches out, or the part that is no model.
        UnknownNameError: no model has its name.
    """
    # The layers of mmcv, which MMEngine's registry has too, import what their settings name.
    for where, part, base in (('model', model, FusionModel),
                              ('model.data_preprocessor', model.get('data_preprocessor'), BaseDataPreprocessor)):
        kind = part.get('type') if isinstance(part, Mapping) else None
        entry = MODELS.get(kind) if isinstance(kind, str) else None
        if part is not None and not (isinstance(entry, type) and issubclass(entry, base)):
            raise CheckpointError(f'{origin} asks for {where} = {_shown(part)}; expected a {base.__name__}.',
                                  f'Get the checkpoint from its author again. {_OWN}')
    if asked := list(_reaches(model, 'model')):
        raise CheckpointError(f'{origin} asks for what lies outside of it:\n' + listing(asked),
                              f'A model in a checkpoint needs nothing else to be built. {_OWN}')


def check_text_source(source: Any, origin: str) -> None:
    """Refuse a checkpoint's `text_source` that names files other than those below the data set's own folder.

    Raises:
        CheckpointError: a pattern is absolute or climbs out of the folder.
    """
    for key, pattern in _files(source):
        path = pattern if isinstance(pattern, str) else ''
        if not path or _OUTSIDE.search(path) or PurePosixPath(path).is_absolute() or PureWindowsPath(path).anchor:
            raise CheckpointError(f'{origin} asks for text features outside of the data set: {key} = {_shown(pattern)}',
                                  f'Give the features with --text, or a config of your own. {_OWN}')


def _files(source: Any, where: str = 'text_source') -> Iterator[tuple[str, Any]]:
    """The file patterns of a text source, or of several, with their keys."""
    for key, value in source.items() if isinstance(source, Mapping) else ():
        if key == 'files':
            yield f'{where}.files', value
        else:
            yield from _files(value, f'{where}.{key}')


def believed_language(language: Any) -> dict | None:
    """A checkpoint's language section where all of its parts need nothing from outside; else None."""
    if not isinstance(language, Mapping) or list(_asked(language)):
        return None
    return readable_language(language)


def readable_language(language: Any) -> dict | None:
    """A checkpoint's language section for looking up what a text store holds already; that builds none of its parts.

    A file does not decide where records are either. Its store counts if it is one already, below the current folder, as
    after `vlfusion describe` there; else `vlfusion.config.cache_folder()` has one.

    Returns:
        The section; None if its prompt is a file, which would be read for the keys, or if it is of another form.
    """
    if not isinstance(language, Mapping) or not _names_prompt(language.get('prompt')):
        return None
    return {**{key: language[key] for key in ('captioners', 'llm', 'prompt', 'encoder') if key in language},
            'store': _store(language.get('store'))}


def _names_prompt(prompt: Any) -> bool:
    """True if a prompt is none, or one that comes with vlfusion, by its name."""
    return prompt is None or isinstance(prompt, str) and re.fullmatch(r'\w+(@\d+)?', prompt) is not None


def _store(named: Any) -> str:
    if isinstance(named, str) and '\0' not in named:
        here, store = Path.cwd(), Path(named)
        if not store.is_absolute() and here in store.resolve().parents and any(
                (store / stage).is_dir() for stage in STAGES):
            return named
    return str(cache_folder() / 'text')


def refuse_language(language: Any, origin: str) -> VLFusionError:
    """The error for words that a checkpoint would have made by parts that reach outside; shows what it asks for."""
    asked = list(_asked(language)) if isinstance(language, Mapping) else [f'language = {_shown(language)}']
    return CheckpointError(
        f'The model reads text, and {origin} asks to have it made by parts that reach outside of this machine\'s '
        f'packages:\n' + listing(asked),
        'A checkpoint does not decide where images and keys are sent or what is fetched. Give a config of your own '
        'with --words CONFIG (its language section counts), or the features of the images with --text. ' + _OWN)


def _asked(language: Mapping) -> Iterator[str]:
    """The entries of a language section that are not believed."""
    captioners = language.get('captioners', [])
    parts = [(CAPTIONERS, f'captioners[{index}]', part) for index, part in enumerate(
        captioners if isinstance(captioners, list | tuple) else [captioners])]
    parts += [(registry, key, language[key]) for registry, key in ((LLMS, 'llm'), (TEXT_ENCODERS, 'encoder'))
              if key in language]
    for registry, key, part in parts:
        if not _self_contained(registry, part):
            yield f'{key} = {_shown(part)}'
    if not _names_prompt(language.get('prompt')):
        yield f'prompt = {_shown(language["prompt"])}'


def _self_contained(registry: Any, part: Any) -> bool:
    """Tell whether a part, by its own word, needs nothing from outside for this config."""
    if not isinstance(part, Mapping) or not isinstance(part.get('type'), str) or names_remote_code(part):
        return False
    try:
        entry = registry.get(part['type'])
        # Its own word, not that of a class it inherits from: its defaults may be others.
        claim = 'self_contained' in vars(entry) and entry.self_contained(part)
    except (VLFusionError, TypeError):  # no such part; or a value of a type that its class does not expect
        return False
    return claim and not list(_reaches({key: value for key, value in part.items() if key != 'type'}, ''))


def _reaches(value: Any, where: str) -> Iterator[str]:
    """The entries of plain data that name a place or fetch something, with their dotted keys."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            inner = f'{where}.{key}' if where else str(key)
            if key == 'type' and isinstance(item, str):
                if not _registered(item):
                    yield f'{inner} = {_shown(item)}'
            elif _PLACE_KEY.search(str(key)) and not (item is None or item is False or item in ({}, [], ())):
                yield f'{inner} = {_shown(item)}'
            else:
                yield from _reaches(item, inner)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _reaches(item, f'{where}[{index}]')
    elif isinstance(value, str):
        if _PLACE.search(value) and not _DEVICE.fullmatch(value):
            yield f'{where} = {_shown(value)}'
    elif not isinstance(value, Number | None):  # bytes, sets, tensors: no config has them
        yield f'{where} = {_shown(value)}'


def _registered(name: str) -> bool:
    """Tell whether a type is a plain word or a name of the registries; MMEngine imports any other dotted path."""
    return bool(re.fullmatch(r'\w+', name)) or any(name in registry for registry in (MODELS, BACKBONES))


def _shown(value: Any) -> str:
    """A value as a message shows it: without what may be a secret, and not endless."""
    text = repr(without_secrets(value))
    return text if len(text) <= 300 else f'{text[:300]} ...'
