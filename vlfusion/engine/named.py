"""Find the file of a model by what names it: a checkpoint, a config, a name such as `film-mif`, or `hf://owner/name`.

Weights that are not in a package are downloaded once, see `vlfusion.zoo.places`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from safetensors import SafetensorError

from vlfusion.config import load_config
from vlfusion.config_names import is_config
from vlfusion.console.notes import note
from vlfusion.console.progress import ShowProgress
from vlfusion.engine.released import convert_released, pick, pinned_files
from vlfusion.errors import CheckpointError, ConfigError
from vlfusion.files import make_folder, require_checkpoint, write_whole
from vlfusion.language.recipes import get_recipe
from vlfusion.zoo import hub
from vlfusion.zoo.entries import ModelEntry, OnHub, Packaged, Pinned, file_names
from vlfusion.zoo.metadata import read_meta
from vlfusion.zoo.names import entry_of, require_model
from vlfusion.zoo.places import by_hand, converted, original
from vlfusion.zoo.remote import fetch, is_offline, one_process

#: Top-level config keys that describe the experiment itself. They are stored in its checkpoints.
EXPERIMENT_KEYS = ('task', 'model', 'language', 'text_source', 'protocol', 'chroma')


@dataclass(frozen=True)
class Located:
    """A model that was found.

    Attributes:
        name: what the user wrote.
        file: its checkpoint; None if the model has no weights.
        experiment: its experiment, if a config or `models.toml` states it; None if the checkpoint does.
        entry: the facts about the model, if it has a name.
    """

    name: str
    file: Path | None
    experiment: dict[str, Any] | None = None
    entry: ModelEntry | None = None


def locate(model: str | os.PathLike | Located, *, offline: bool = False,
           show: ShowProgress | None = None) -> Located:
    """Find a model, and download its weights if they are not here.

    A file that exists is never taken for a name. A folder of that name does not count.

    Args:
        model: checkpoint; or the config of a model without weights, as a file or by name; or the name of a model, see
            `vlfusion models`; or a repository on the Hugging Face hub, `hf://owner/name` or `hf://owner/name@revision`.
            A model that was located is returned as it is.
        offline: True to download nothing, as `VLFUSION_OFFLINE` and `HF_HUB_OFFLINE` do.
        show: progress of a download; by default a bar of its own on stderr.

    Raises:
        CheckpointError: there is no such file or name, or the authors' files are not what they should be.
        ConfigError: the config has no task or no model.
        DownloadError: the weights are not here and cannot be fetched.
    """
    if isinstance(model, Located):
        return model
    require_model(model)
    name = os.fspath(model)
    if hub.is_hub_address(name):
        return Located(name, hub.pull(name, offline=offline))
    path = Path(model).expanduser()
    if entry := entry_of(model):
        return Located(name, obtain(entry, offline=offline, show=show), _stated(entry), entry)
    if is_config(path):
        return Located(name, None, experiment_of(load_config(path)))
    return Located(name, require_checkpoint(path))


def experiment_of(config: Config) -> dict[str, Any]:
    """Return the experiment of a config; raise ConfigError if it has no task or no model."""
    experiment = {key: config[key] for key in EXPERIMENT_KEYS if config.get(key)}
    if lacking := [key for key in ('task', 'model') if key not in experiment]:
        raise ConfigError(f'{config.filename} has no {" and no ".join(lacking)}.', 'Give a config of an experiment.')
    return experiment


def obtain(entry: ModelEntry, *, offline: bool = False, show: ShowProgress | None = None) -> Path | None:
    """Return the checkpoint of a named model, and make it first if necessary; None if the model has no weights.

    Raises:
        CheckpointError: the package lacks the file, or the authors' files do not fit the network.
        DownloadError: the weights are not here and cannot be fetched, or differ from the pinned ones.
    """
    match entry.source:
        case Packaged(path):
            if not path.is_file():
                raise CheckpointError(f'The package {entry.package} lacks {path.name}, the weights of {entry.name}.',
                                      'Install it again.')
            return path
        case OnHub(address):
            return hub.pull(address, offline=offline)
        case Pinned():
            target = converted(entry)
            if is_converted(entry):  # takes no lock, because the folder may be somebody else's
                return target
            make_folder(target.parent)
            with one_process(target):
                if not is_converted(entry):
                    convert(entry, download(entry, offline=offline, show=show), target)
            return target
    return None


def download(entry: ModelEntry, *, offline: bool = False, show: ShowProgress | None = None) -> list[Path]:
    """Return the authors' files of a named model, each verified. Files that are not here are fetched.

    Raises:
        CheckpointError: the model is not made of such files.
        DownloadError: a file cannot be fetched, or differs from the pinned one.
    """
    for file in pinned_files(entry):
        if not (original(file).is_file() or offline or is_offline()):
            note(f'licence of {entry.scoped}', f'{entry.name} comes from {entry.source}. Licence of the weights: '
                                               f'{entry.licence}.')
        fetch(file, original(file), show=show, offline=offline, verify=True, by_hand=by_hand(entry))
    return [original(file) for file in entry.source.files]


def add(entry: ModelEntry, files: list[Path]) -> Path:
    """Take the authors' files of a named model from a folder of the user, check them, and make its checkpoint.

    Args:
        entry: the model.
        files: its files, in any order and under any names.

    Raises:
        CheckpointError: the model is not made of such files; or one is missing or differs.
    """
    for file, path in zip(pinned_files(entry), pick(entry, dict.fromkeys(pinned_files(entry), files)), strict=True):
        make_folder(original(file).parent)
        write_whole(original(file), path.read_bytes())
    make_folder(converted(entry).parent)
    with one_process(converted(entry)):
        convert(entry, download(entry, offline=True), converted(entry))
    return converted(entry)


def is_converted(entry: ModelEntry) -> bool:
    """Tell whether the checkpoint exists and was made of the same files, for the same network."""
    path = converted(entry)
    try:
        return path.is_file() and (read_meta(path) or {}).get('made_of') == _made_of(entry)
    except (CheckpointError, SafetensorError):  # a damaged file is made again
        return False


def convert(entry: ModelEntry, files: Sequence[Path], out: str | os.PathLike) -> int:
    """Make the checkpoint of a named model from its verified files, and return the number of its tensors."""
    return convert_released(entry.method.backbone, files, out, task=entry.tasks[0], protocol=entry.protocol,
                            arguments=entry.arguments,
                            meta=dict(made_of=_made_of(entry), released=file_names(entry)))


def _made_of(entry: ModelEntry) -> dict[str, Any]:
    # Without task and protocol, which `_stated` gives: all tasks of an entry share one checkpoint.
    return dict(blobs=[file.blob for file in entry.source.files], model=entry.experiment['model'])


def _stated(entry: ModelEntry) -> dict[str, Any] | None:
    """Return the experiment of an entry, if it counts instead of the checkpoint's own."""
    if isinstance(entry.source, Packaged | OnHub):
        return None
    words = load_config(get_recipe(entry.words).file) if entry.words else {}
    return {**entry.experiment, **{key: words[key] for key in ('language', 'text_source') if key in words}}
