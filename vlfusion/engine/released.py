"""Released weights: from the authors' files to a checkpoint of vlfusion."""

import os
from collections.abc import Mapping, Sequence
from glob import escape
from pathlib import Path

from vlfusion import __version__
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.states import load_strictly, write_state
from vlfusion.errors import CheckpointError, DownloadError, listing
from vlfusion.guards.outputs import check_outputs
from vlfusion.registry import BACKBONES, MODELS
from vlfusion.zoo.entries import ModelEntry, Pinned, models_of
from vlfusion.zoo.remote import RemoteFile, check


def convert_released(name: str, released: str | os.PathLike | Sequence[str | os.PathLike], out: str | os.PathLike,
                     task: str, protocol: str | None = None, arguments: Mapping | None = None,
                     meta: Mapping | None = None) -> int:
    """Write the released weights of a backbone as a checkpoint of vlfusion.

    Args:
        name: name of the backbone in BACKBONES. It has a static method `convert_released(*states) -> state`, and
            optionally `read_released(path) -> state` for files that torch cannot read.
        released: the authors' file, `.pth` or `.safetensors`; or several files, in the order of that method.
        out: the checkpoint to write.
        task: task that the weights were trained for.
        protocol: name of the conversion of outputs to grey levels; by default that of the method's authors.
        arguments: arguments of the backbone; by default those that the released files are known to fit.
        meta: further plain data to store in the checkpoint.

    Returns:
        The number of converted tensors.

    Raises:
        DataError: the checkpoint would replace a file of the authors, or cannot be written.
        CheckpointError: a file is unsafe or truncated, does not have the names of the released weights, or the backbone
            has no conversion.
    """
    files = [released] if isinstance(released, (str, os.PathLike)) else released
    check_outputs([out], files)
    backbone = BACKBONES.get(name)
    if not hasattr(backbone, 'convert_released'):
        raise CheckpointError(f'Released weights of {name} cannot be converted.',
                              'The backbone needs a static method convert_released.')
    read = getattr(backbone, 'read_released', load_checkpoint_file)
    states = [read(file) for file in files]
    for file, state in zip(files, states, strict=True):
        if not isinstance(state, dict):
            raise CheckpointError(f'{file} holds a {type(state).__name__}, not weights by name.',
                                  "Give the authors' file, unchanged.")
    known = [entry for entry in models_of(name) if isinstance(entry.source, Pinned)]
    if arguments is None:  # known files determine the arguments
        arguments = next((entry.arguments for entry in known if task in entry.tasks and _are(files, entry)), {})
    state = backbone.convert_released(*states)
    model = dict(type='FusionModel', backbone=dict(type=name, **arguments))
    built = MODELS.build(model)
    load_strictly(built.backbone, state, ' and '.join(map(str, files)))
    experiment = dict(task=task, model=model, protocol=protocol or (known[0].protocol if known else 'film'))
    write_state(out, built.state_dict(), {'vlfusion': experiment, 'released': [Path(file).name for file in files],
                                         'vlfusion_version': __version__, **(meta or {})})
    return len(state)


def find_released(entry: ModelEntry, folder: str | os.PathLike) -> list[Path]:
    """Find the authors' files of a named model in a folder, at any depth, under their released names.

    Raises:
        CheckpointError: as for `pick`.
    """
    return pick(entry, {file: sorted(Path(folder).rglob(escape(Path(file.path).name))) for file in pinned_files(entry)})


def pick(entry: ModelEntry, candidates: Mapping[RemoteFile, Sequence[Path]]) -> list[Path]:
    """Return the authors' files of a named model, chosen by content, in the order in which its network takes them.

    Args:
        entry: the model.
        candidates: for each of its files those that it may be.

    Raises:
        CheckpointError: a file is missing, or all its candidates differ. Says what was expected and what came.
    """
    faults = {file: {path: _fault(path, file) for path in paths} for file, paths in candidates.items()}
    picked = {file: right[0] for file, paths in faults.items()
              if (right := [path for path, fault in paths.items() if not fault])}
    if missing := [file for file in candidates if file not in picked]:
        problems = [problem for file in missing for problem in
                    [fault for path, fault in faults[file].items() if path not in picked.values()]
                    or [f'{Path(file.path).name} is missing.']]
        addresses = ' and '.join(file.address for file in pinned_files(entry))
        raise CheckpointError(f'These are not the files of {entry.name}:\n{listing(problems)}',
                              f'Fetch {addresses} (licence of the weights: {entry.licence}), unchanged.')
    return [picked[file] for file in candidates]


def _fault(path: Path, file: RemoteFile) -> str:
    """Say how a file differs from a public one; empty if it does not."""
    try:
        check(path, file)
    except DownloadError as error:
        return error.problem
    return ''


def pinned_files(entry: ModelEntry) -> tuple[RemoteFile, ...]:
    """Return the authors' files of a named model; raise a CheckpointError if it is not made of any."""
    if not isinstance(entry.source, Pinned):
        raise CheckpointError(f'{entry.name} is not made of released files: its weights are {entry.source or "none"}.',
                              'Use it by its name.')
    return entry.source.files


def _are(files: Sequence[str | os.PathLike], entry: ModelEntry) -> bool:
    """Tell whether files are those of a named model, in order."""
    try:
        for path, file in zip(files, pinned_files(entry), strict=True):
            check(path, file)
    except (DownloadError, ValueError):
        return False
    return True
