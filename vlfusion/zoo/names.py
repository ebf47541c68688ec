"""Checks of what the user gives for a model, before torch is loaded."""

import os
from contextlib import suppress
from pathlib import Path

from vlfusion.config_names import SUFFIXES, is_config, require_config, similar_config
from vlfusion.console.notes import note
from vlfusion.errors import CheckpointError, PluginError, UnknownNameError
from vlfusion.files import require_checkpoint
from vlfusion.zoo import hub
from vlfusion.zoo.entries import ModelEntry, advice_on, find_model, provider_of, similar_model

#: Suffixes of files of weights.
WEIGHTS = ('.bin', '.ckpt', '.pt', '.pth', '.safetensors')


def entry_of(model: str | os.PathLike) -> ModelEntry | None:
    """Return the facts about a named model; None for a checkpoint, a config, an address and an unknown name.

    A file that is called like a model is that file. A folder is not: `vlfusion fuse laplacian ir vi -o laplacian` makes
    one.

    Raises:
        UnknownNameError, PluginError: as for `find_model`.
    """
    return None if Path(model).expanduser().is_file() else find_model(model)


def is_model(word: str | os.PathLike) -> bool:
    """Tell whether a word given for a config means a model: a checkpoint, a name, even misspelt, or an address.

    `require_model` says what is wrong with it, if anything.
    """
    path = Path(word).expanduser()
    if hub.is_hub_address(word) or entry_of(word):
        return True
    if is_config(path) or path.suffix in SUFFIXES:
        return False
    return path.is_file() or path.suffix in WEIGHTS or bool(
        similar_model(os.fspath(word)) or provider_of(os.fspath(word)))


def require_model(model: str | os.PathLike) -> None:
    """Raise a CheckpointError or ConfigError if there is no such checkpoint, config, named model or address.

    Args:
        model: as for `vlfusion.engine.named.locate`.
    """
    name = os.fspath(model)
    path = Path(model).expanduser()
    if hub.is_hub_address(name):
        hub.parse(name)
    elif not entry_of(model):
        _note_hidden_model(path)
        if is_config(path):
            require_config(path)
        elif path.suffix or path.exists():
            if not path.exists() and (near := similar_model(name)):
                raise CheckpointError(f'No checkpoint at {path}, and no model has that name.', near)
            require_checkpoint(path)
        else:
            raise CheckpointError(
                f'{name} is neither a checkpoint nor the name of a model or config.',
                advice_on(name) if similar_model(name) or provider_of(name) else
                f'{similar_config(path)} {advice_on(name)}')


def _note_hidden_model(path: Path) -> None:
    """Note that a file is called like a model."""
    with suppress(UnknownNameError, PluginError):
        if path.is_file() and find_model(path):
            note(f'file {path}', f'{path} is a file here, and is taken instead of the model of this name.')
