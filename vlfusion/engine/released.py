"""Released weights: from the authors' files to a checkpoint of vlfusion."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vlfusion import __version__
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.states import load_strictly, write_state
from vlfusion.errors import CheckpointError, did_you_mean, listing
from vlfusion.files import file_digest
from vlfusion.guards.outputs import check_outputs
from vlfusion.models.released import ReleasedWeights
from vlfusion.registry import BACKBONES, MODELS


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
    known = list(getattr(backbone, 'released', {}).values())
    if arguments is None:  # known files determine the arguments
        digests = [file_digest(file) for file in files]
        arguments = next((weights.arguments for weights in known
                          if weights.task == task and list(weights.files.values()) == digests), {})
    state = backbone.convert_released(*states)
    model = dict(type='FusionModel', backbone=dict(type=name, **arguments))
    built = MODELS.build(model)
    load_strictly(built.backbone, state, ' and '.join(map(str, files)))
    experiment = dict(task=task, model=model, protocol=protocol or (known[0].protocol if known else 'film'))
    write_state(out, built.state_dict(), {'vlfusion': experiment, 'released': [Path(file).name for file in files],
                                         'vlfusion_version': __version__, **(meta or {})})
    return len(state)


def find_released(name: str, which: str | None, folder: str | os.PathLike) -> tuple[ReleasedWeights, list[Path]]:
    """Find the released weights of a backbone, and check that the authors' files are complete and unchanged.

    Files of different methods can have the same name, so each method has a folder: `data/weights/matr/model_10.pth`, or
    `data/weights/mufusion/tno/Final.model` for one of several sets. Files directly in `folder` are found too.

    Args:
        name: name of the backbone in BACKBONES.
        which: name of the set, if several were released.
        folder: folder with the files, or with the folders of the methods.

    Raises:
        CheckpointError: the backbone has no such weights, or a file is missing or differs; says what to fetch.
    """
    sets: Mapping[str, ReleasedWeights] = getattr(BACKBONES.get(name), 'released', {})
    if not sets:
        raise CheckpointError(f'No released weights are known for {name}.', 'Train it, or use `convert-weights`.')
    if which is None and len(sets) > 1:
        raise CheckpointError(f'{name} has several released weights: {", ".join(sets)}.', 'Choose one by --which.')
    if which is not None and which not in sets:
        raise CheckpointError(f'{name} has no released weights {which!r}.', did_you_mean(which, sets))
    which = which or next(iter(sets))
    weights = sets[which]
    method = Path(folder) / name.partition('.')[0].removeprefix('vlfusion_').lower()
    clash = any(weights.files.get(file, sha256) != sha256 for other in sets.values()
                for file, sha256 in other.files.items())
    place = method / which if clash else method
    files, problems = [], []
    for file, sha256 in weights.files.items():
        digests = {path: file_digest(path) for path in dict.fromkeys(
            (method / which / file, method / file, Path(folder) / file)) if path.is_file()}
        fitting = [path for path, digest in digests.items() if digest == sha256]
        files += fitting[:1]
        if not digests:
            problems.append(f'{place / file} is missing')
        elif not fitting:
            problems += [f'{path} is a different file: its SHA-256 is {digest}, expected {sha256}'
                         for path, digest in digests.items()]
    if problems:
        raise CheckpointError(f'The released weights of {name} are missing or differ:\n{listing(problems)}',
                              f'Fetch {" and ".join(weights.files)} from {weights.source} '
                              f'(licence of the weights: {weights.licence}) and put them into {place}.')
    return weights, files
