"""Limits of what a stranger's checkpoint may ask for.

A checkpoint holds an experiment as data: a model and, if the model reads text, a description of how to make the text.
The file may come from a stranger. So both sections are accepted only if they stay within this process and the installed
packages: no network, no key, no file and no model from a hub. See docs/explain/security.md.
"""

import re
from collections.abc import Iterator, Mapping
from numbers import Number
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from mmengine.model import BaseDataPreprocessor

from vlfusion.errors import CheckpointError, VLFusionError, listing
from vlfusion.files import writable_cache_folder
from vlfusion.guards.redaction import without_secrets
from vlfusion.guards.remote_code import names_remote_code
from vlfusion.language.section import ENCODERS
from vlfusion.language.store import STAGES
from vlfusion.models import FusionModel
from vlfusion.registry import BACKBONES, CAPTIONERS, LLMS, MODELS, TEXT_ENCODERS

#: Matches values that name a place: paths, addresses, ids on a hub, and files by their suffix.
_PLACE = re.compile(r'[/\\:~]|^\.|\.(bin|ckpt|gguf|json|np[yz]|onnx|pkl|pt2?|pth|py|safetensors|tar|toml|txt|ya?ml|'
                    r'zip)$', re.IGNORECASE)
#: Matches a device with its number, such as `cuda:1`.
_DEVICE = re.compile(r'[a-z]{2,}(:\d+)?', re.ASCII)
#: Matches parts of a path that lead out of a folder, and characters that no pattern needs.
_OUTSIDE = re.compile(r'(^|[/\\])\.\.([/\\]|$)|^~|\0')
#: Matches keys whose values name a place or fetch something, regardless of the value.
_PLACE_KEY = re.compile(r'(^|_)(cache|checkpoint|dir|directory|file|filename|folder|hub|path|pretrained|repo|root|url)'
                        r'(_|$)|init_cfg', re.IGNORECASE)
_OWN = ('If you trust its author, accept everything with --trust-checkpoint, or in Python with Fuser(..., trust=True). '
        'In a comparison, give the method a config, which counts instead of the checkpoint\'s own.')


def check_model(model: Mapping, origin: str) -> None:
    """Refuse a checkpoint's model section that asks for files, addresses, a model hub or Python modules.

    Args:
        model: the section, as data.
        origin: name of the checkpoint, for the message.

    Raises:
        CheckpointError: names each key and value that asks for something outside, or a part that is not a model.
        UnknownNameError: the type of the model is not registered.
    """
    # MMEngine's registry also holds layers of mmcv, which import modules that their settings name.
    for where, part, base in (('model', model, FusionModel),
                              ('model.data_preprocessor', model.get('data_preprocessor'), BaseDataPreprocessor)):
        kind = part.get('type') if isinstance(part, Mapping) else None
        entry = MODELS.get(kind) if isinstance(kind, str) else None
        if part is not None and not (isinstance(entry, type) and issubclass(entry, base)):
            raise CheckpointError(f'{origin} asks for {where} = {_shown(part)}; expected a {base.__name__}.',
                                  f'Get the checkpoint from its author again. {_OWN}')
    if outside := list(_reaches(model, 'model')):
        raise CheckpointError(f'{origin} asks for things outside of the file:\n' + listing(outside),
                              f'The model of a checkpoint must not need anything else. {_OWN}')


def check_text_source(source: Any, origin: str) -> None:
    """Refuse a checkpoint's `text_source` that names files outside of the data set's folder.

    Raises:
        CheckpointError: a pattern is absolute or leads out of the folder.
    """
    for key, pattern in _files(source):
        path = pattern if isinstance(pattern, str) else ''
        if not path or _OUTSIDE.search(path) or PurePosixPath(path).is_absolute() or PureWindowsPath(path).anchor:
            raise CheckpointError(f'{origin} asks for text features outside of the data set: {key} = {_shown(pattern)}',
                                  f'Give the features with --text, or a config of your own. {_OWN}')


def _files(source: Any, where: str = 'text_source') -> Iterator[tuple[str, Any]]:
    """Yield the file patterns of one or several text sources, with their keys."""
    for key, value in source.items() if isinstance(source, Mapping) else ():
        if key == 'files':
            yield f'{where}.files', value
        else:
            yield from _files(value, f'{where}.{key}')


def believed_language(language: Any) -> dict | None:
    """Return a checkpoint's language section if none of its parts needs anything from outside, or None."""
    if not isinstance(language, Mapping) or list(_refused(language)):
        return None
    return readable_language(language)


def readable_language(language: Any) -> dict | None:
    """Return a checkpoint's language section for lookups in a text store, which build none of its parts.

    A checkpoint must not choose any folder as its store either. Its own is used only if it already exists as a store
    below the current folder, for example after `vlfusion describe`. Otherwise the store in
    `vlfusion.files.writable_cache_folder()` is used.

    Returns:
        The section. None if its prompt is a file, which the lookup would read, or if the section has another form.
    """
    if not isinstance(language, Mapping) or not _names_prompt(language.get('prompt')):
        return None
    return {**{key: language[key] for key in ('captioners', 'llm', 'prompt', *ENCODERS) if key in language},
            'store': _store(language.get('store'))}


def believed_parts(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what chosen words may take over from an experiment: its text encoder and its text store.

    All of the `language` section counts if it is believed. From a section that may only be read, the encoder counts if
    it needs nothing from outside.

    Args:
        experiment: an experiment as `vlfusion.engine.checkpoints.read_experiment` returns it.
    """
    if language := experiment.get('language'):
        return dict(language)
    readable = experiment.get('readable_language') or {}
    return {key: readable[key] for key in ('store', *ENCODERS) if key in readable and (
        key == 'store' or _self_contained(TEXT_ENCODERS, readable[key]))}


def _names_prompt(prompt: Any) -> bool:
    """Tell whether a prompt is None or the name of one that ships with vlfusion."""
    return prompt is None or isinstance(prompt, str) and re.fullmatch(r'\w+(@\d+)?', prompt) is not None


def _store(path: Any) -> str:
    if isinstance(path, str) and '\0' not in path:
        here, store = Path.cwd(), Path(path)
        if not store.is_absolute() and here in store.resolve().parents and any(
                (store / stage).is_dir() for stage in STAGES):
            return path
    return str(writable_cache_folder() / 'text')


def refuse_language(language: Any, origin: str) -> VLFusionError:
    """Return the error for a language section that needs something from outside; it lists what is asked for."""
    refused = list(_refused(language)) if isinstance(language, Mapping) else [f'language = {_shown(language)}']
    return CheckpointError(
        f'The model reads text, and {origin} asks to make it with parts that need something outside of the installed '
        f'packages:\n' + listing(refused),
        'A checkpoint must not decide where images and keys are sent, or what is fetched. Choose words yourself with '
        '--words NAME (a recipe of `vlfusion words`, or a config with a language section), or give the features of the '
        'images with --text. ' + _OWN)


def _refused(language: Mapping) -> Iterator[str]:
    """Yield the entries of a language section that are not accepted."""
    captioners = language.get('captioners', [])
    parts = [(CAPTIONERS, f'captioners[{index}]', part) for index, part in enumerate(
        captioners if isinstance(captioners, list | tuple) else [captioners])]
    parts += [(registry, key, language[key]) for registry, *keys in ((LLMS, 'llm'), (TEXT_ENCODERS, *ENCODERS))
              for key in keys if key in language]
    for registry, key, part in parts:
        if not _self_contained(registry, part):
            yield f'{key} = {_shown(part)}'
    if not _names_prompt(language.get('prompt')):
        yield f'prompt = {_shown(language["prompt"])}'


def _self_contained(registry: Any, part: Any) -> bool:
    """Tell whether the class of a part declares that it needs nothing from outside for this config."""
    if not isinstance(part, Mapping) or not isinstance(part.get('type'), str) or names_remote_code(part):
        return False
    try:
        entry = registry.get(part['type'])
        # A declaration of a base class does not count: the defaults of the class may differ.
        claim = 'self_contained' in vars(entry) and entry.self_contained(part)
    except (VLFusionError, TypeError):  # an unknown part, or a value of a type that its class does not expect
        return False
    return claim and not list(_reaches({key: value for key, value in part.items() if key != 'type'}, ''))


def _reaches(value: Any, where: str) -> Iterator[str]:
    """Yield the entries of plain data that name a place or fetch something, with their dotted keys."""
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
    elif not isinstance(value, Number | None):  # configs hold no bytes, sets or tensors
        yield f'{where} = {_shown(value)}'


def _registered(name: str) -> bool:
    """Tell whether a type is a plain word or a registered name. MMEngine would import any other dotted path."""
    return bool(re.fullmatch(r'\w+', name)) or any(name in registry for registry in (MODELS, BACKBONES))


def _shown(value: Any) -> str:
    """Write a value for a message: without secrets, at most about 300 characters."""
    text = repr(without_secrets(value))
    return text if len(text) <= 300 else f'{text[:300]} ...'
