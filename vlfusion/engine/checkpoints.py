"""Checkpoints: load states strictly, rebuild models, and convert released weights.

A checkpoint of vlfusion is `dict(state_dict, meta)` of tensors and plain values. `meta['vlfusion']` holds the
experiment as data: `task`, `model`, and if needed `language`, `text_source`, `protocol` and `chroma`. After reading, it
also holds `origin`, which describes the model's training in words.
"""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from mmengine.config import Config
from torch import Tensor, nn

from vlfusion import __version__
from vlfusion.config import load_config
from vlfusion.config_names import is_config, require_model
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.origin import origin
from vlfusion.engine.trust import believed_language, check_model, check_text_source, readable_language, refuse_language
from vlfusion.errors import CheckpointError, ConfigError, did_you_mean, listing
from vlfusion.files import file_digest, write_whole
from vlfusion.guards.foreign import foreign
from vlfusion.guards.outputs import check_outputs
from vlfusion.models.released import ReleasedWeights
from vlfusion.registry import BACKBONES, MODELS

#: Top-level config keys that describe the experiment itself. They are stored in its checkpoints.
EXPERIMENT_KEYS = ('task', 'model', 'language', 'text_source', 'protocol', 'chroma')
#: Types of their values in a checkpoint.
FORM = {'task': str, 'model': dict, 'language': dict, 'text_source': dict, 'protocol': str, 'chroma': str}
COPY = 'The file is damaged or is not a checkpoint of vlfusion. Copy it again, or ask its author.'


def load_strictly(model: nn.Module, state: dict[str, Shaped[Tensor, '...']], origin: str) -> None:
    """Load a state whose names, shapes and types must all fit the model.

    Raises:
        CheckpointError: names the tensors that are missing, are unexpected, or have another shape or type.
    """
    check_state(state, origin)
    own = model.state_dict()
    problems = [f'missing: {name}' for name in own if name not in state]
    problems += [f'unexpected: {name}' for name in state if name not in own]
    problems += [f'shape of {name}: {tuple(state[name].shape)} in the file, {tuple(own[name].shape)} in the model'
                 for name in own if name in state and state[name].shape != own[name].shape]
    problems += [f'type of {name}: {state[name].dtype} in the file, {own[name].dtype} in the model'
                 for name in own if name in state and _kind(state[name]) != _kind(own[name])]
    if problems:
        raise CheckpointError(f'{origin} does not fit the model:\n{listing(problems)}',
                              'Use the config that the checkpoint was trained with. Convert released weights with '
                              'convert-weights first.')
    model.load_state_dict(state)


def check_state(state: Any, origin: str) -> None:
    """Raise CheckpointError, which names the key, unless a state consists of plain tensors by name."""
    if not isinstance(state, Mapping):
        raise CheckpointError(f'{origin} holds state_dict as a {type(state).__name__}; expected tensors by name.', COPY)
    for name, tensor in state.items():
        if not isinstance(name, str):
            raise CheckpointError(f'{origin} holds {name!r} as the name of a tensor; expected a string.', COPY)
        plain = isinstance(tensor, Tensor) and tensor.layout is torch.strided and not tensor.is_quantized
        if not plain or tensor.is_meta:
            what = f'a tensor ({tensor.layout}, {tensor.dtype}, on {tensor.device})' if isinstance(
                tensor, Tensor) else f'a {type(tensor).__name__}'
            raise CheckpointError(f'{origin} holds {name} in its state_dict as {what}; expected a plain tensor.', COPY)


def _kind(tensor: Shaped[Tensor, '...']) -> str:
    """Return `complex`, `float` or `int`; conversion between these kinds could change values."""
    return 'complex' if tensor.is_complex() else 'float' if tensor.is_floating_point() else 'int'


def load_model(path: str | os.PathLike, experiment: Mapping | None = None,
               trust: bool = False) -> tuple[nn.Module, dict[str, Any]]:
    """Load the model of a checkpoint, ready to fuse, and its experiment.

    Losses are not built, since fusing does not need them. Instead of a checkpoint, a config can be given if its model
    has no weights, as classical methods do.

        model, experiment = vlfusion.load_model('work_dirs/film_ivf/best.pth')
        print(experiment['task'])

    Args:
        path: the checkpoint; or the config, a file `.py` or a name such as `classical/laplacian_ivf`.
        experiment: experiment to use instead of the checkpoint's own; the weights must fit its model.
        trust: True to accept everything that the checkpoint asks for, see `read_experiment`.

    Returns:
        The model in evaluation mode, and the experiment.

    Raises:
        CheckpointError: the file is unsafe, truncated, not from vlfusion, or does not fit the model that it names.
        ConfigError: the model of a config has weights, or the config lacks a task or model.
    """
    if is_config(path):
        return load_weightless(load_config(path))
    checkpoint = _read_checkpoint(path)
    experiment = experiment or _experiment(checkpoint, path, trust)
    try:
        with foreign(f'The model of {path} cannot be built', CheckpointError, COPY):
            model = _build_without_losses(experiment['model'])
    except ConfigError as error:
        raise CheckpointError(f'The model of {path} cannot be built. {error.problem}', COPY) from error
    state = {name: value for name, value in checkpoint['state_dict'].items() if not name.startswith('losses.')}
    load_strictly(model, state, str(path))
    return model.eval(), experiment


def read_experiment(path: str | os.PathLike, trust: bool = False) -> dict[str, Any]:
    """Read the experiment of a checkpoint or a config without building its model.

    A config belongs to the user and is trusted. A checkpoint may come from a stranger, so it is limited as
    `vlfusion.engine.trust` describes. A `language` section beyond these limits is removed. Then `language_error` holds
    the error to raise when a text is needed, and `readable_language` the section for lookups in a text store.

    Args:
        path: the checkpoint; or the config, a file `.py` or a name such as `classical/laplacian_ivf`.
        trust: True to accept everything that the checkpoint asks for.

    Raises:
        CheckpointError: as for `load_model`; or the model section asks for files, addresses or a hub.
    """
    if is_config(path):
        return experiment_of(load_config(path))
    return _experiment(_read_checkpoint(path), path, trust)


def _experiment(checkpoint: Mapping, path: str | os.PathLike, trust: bool) -> dict[str, Any]:
    stored = checkpoint['meta']['vlfusion']
    experiment = {key: stored[key] for key in EXPERIMENT_KEYS if key in stored}
    with foreign(f'The experiment in {path} cannot be read', CheckpointError, COPY):  # a list may contain itself
        experiment['origin'] = origin(experiment, checkpoint['meta'])
        experiment['model'] = to_fuse(experiment['model'])
        if trust:
            return experiment
        check_model(experiment['model'], str(path))
        check_text_source(experiment.get('text_source'), str(path))
        language = believed_language(experiment.get('language'))
    if section := experiment.pop('language', None):
        if language:
            experiment['language'] = language
        else:
            experiment['language_error'] = refuse_language(section, str(path))
            experiment['readable_language'] = readable_language(section)
    return experiment


def _read_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    require_model(path)
    checkpoint = load_checkpoint_file(path)
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    experiment = meta.get('vlfusion') if isinstance(meta, dict) else None
    if not (isinstance(experiment, dict) and {'task', 'model'} <= experiment.keys() and 'state_dict' in checkpoint):
        raise CheckpointError(f'{path} is not a checkpoint of vlfusion: it does not say which model it holds.',
                              'Convert released weights of a method with `vlfusion convert-weights NAME IN OUT`.')
    check_state(checkpoint.get('state_dict'), str(path))
    for key, kind in FORM.items():
        if not isinstance(experiment.get(key, kind()), kind):
            raise CheckpointError(f'{path} holds meta.vlfusion.{key} as a {type(experiment[key]).__name__}; expected a '
                                  f'{kind.__name__}.', COPY)
    model = experiment['model']
    for key, part in (('model', model), ('model.backbone', model.get('backbone'))):
        if not (isinstance(part, dict) and isinstance(part.get('type'), str)):
            raise CheckpointError(f'{path} does not say which model it holds: meta.vlfusion.{key} is {part!r:.300}, '
                                  'without a type.', COPY)
    return checkpoint


def experiment_of(config: Config) -> dict[str, Any]:
    """Return the experiment of a config; raise ConfigError if it has no task or no model."""
    experiment = {key: config[key] for key in EXPERIMENT_KEYS if config.get(key)}
    if lacking := [key for key in ('task', 'model') if key not in experiment]:
        raise ConfigError(f'{config.filename} has no {" and no ".join(lacking)}.', 'Give a config of an experiment.')
    return experiment


def to_fuse(model: Mapping) -> dict[str, Any]:
    """Reduce a model section to what fusing needs: no losses, no files of initial weights."""
    model = {key: value for key, value in model.items() if key not in ('losses', 'init_cfg')}
    backbone = model.get('backbone')
    if isinstance(backbone, Mapping) and isinstance(backbone.get('type'), str):
        unused = getattr(BACKBONES.get(backbone['type']), 'training_only', ())
        model['backbone'] = {key: value for key, value in backbone.items() if key not in unused}
    return model


def _build_without_losses(model: Mapping) -> nn.Module:
    return MODELS.build(to_fuse(model))


def load_weightless(config: Config) -> tuple[nn.Module, dict[str, Any]]:
    """Build the model of a config in evaluation mode, and return its experiment too.

    Raises:
        ConfigError: the model has weights, or the config has no task or no model.
    """
    experiment = experiment_of(config)
    return build_weightless(experiment['model'], config.filename), experiment


def build_weightless(model: Mapping, origin: str) -> nn.Module:
    """Build a model without weights in evaluation mode; raise ConfigError, which names the origin, if it has any."""
    built = _build_without_losses(model)
    if count := sum(parameter.numel() for parameter in built.parameters()):
        raise ConfigError(f'The model of {origin} has {count} weights, which a config does not hold.',
                          'Give a checkpoint, written by training or by `convert-weights`.')
    return built.eval()


def convert_released(name: str, released: str | os.PathLike | Sequence[str | os.PathLike], out: str | os.PathLike,
                     task: str, protocol: str | None = None, arguments: Mapping | None = None) -> int:
    """Write the released weights of a backbone as a checkpoint of vlfusion.

    Args:
        name: name of the backbone in BACKBONES. It has a static method `convert_released(*states) -> state`, and
            optionally `read_released(path) -> state` for files that torch cannot read.
        released: the authors' file, `.pth` or `.safetensors`; or several files, in the order of that method.
        out: the checkpoint to write.
        task: task that the weights were trained for.
        protocol: name of the conversion of outputs to grey levels; by default that of the method's authors.
        arguments: arguments of the backbone; by default those that the released files are known to fit.

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
    buffer = io.BytesIO()
    torch.save(dict(state_dict=built.state_dict(),
                    meta=dict(vlfusion=experiment, released=[Path(file).name for file in files],
                              vlfusion_version=__version__)), buffer)
    write_whole(out, buffer.getbuffer())
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
