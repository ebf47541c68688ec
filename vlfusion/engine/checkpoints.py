"""Checkpoints: strict loading, rebuilding a model from one, and converting the released weights of a method.

A checkpoint of vlfusion is `dict(state_dict, meta)` of tensors and plain values. `meta['vlfusion']` holds the
experiment as data: `task`, `model`, and where they apply `language`, `text_source`, `protocol` and `chroma`. Once read,
it also has `origin`, the origin of the model in words.
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
from vlfusion.config_names import is_config
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.origin import origin
from vlfusion.engine.trust import believed_language, check_model, check_text_source, readable_language, refuse_language
from vlfusion.errors import CheckpointError, ConfigError, did_you_mean, listing
from vlfusion.files import file_digest, write_whole
from vlfusion.guards.foreign import foreign
from vlfusion.guards.outputs import check_outputs
from vlfusion.models.released import ReleasedWeights
from vlfusion.registry import BACKBONES, MODELS

#: The top-level keys of a config that describe the experiment itself and travel with its checkpoints.
EXPERIMENT_KEYS = ('task', 'model', 'language', 'text_source', 'protocol', 'chroma')
#: What they hold in a checkpoint.
FORM = {'task': str, 'model': dict, 'language': dict, 'text_source': dict, 'protocol': str, 'chroma': str}
COPY = 'The file is damaged, or no checkpoint of vlfusion: copy it again, or ask its author.'


def load_strictly(model: nn.Module, state: dict[str, Shaped[Tensor, '...']], origin: str) -> None:
    """Load a state in which every name and shape must fit.

    Raises:
        CheckpointError: names the tensors that are missing, unexpected or of another shape.
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
                              'Use the config the checkpoint was trained with; released weights go through '
                              'convert-weights first.')
    model.load_state_dict(state)


def check_state(state: Any, origin: str) -> None:
    """Raises CheckpointError, which names the key, where a state is anything but plain tensors by name."""
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
    """`complex`, `float` or `int`: a value that changes between them is another one."""
    return 'complex' if tensor.is_complex() else 'float' if tensor.is_floating_point() else 'int'


def load_model(path: str | os.PathLike, experiment: Mapping | None = None,
               trust: bool = False) -> tuple[nn.Module, dict[str, Any]]:
    """The model in a checkpoint of vlfusion, ready to fuse, and the experiment it belongs to.

    Its losses are not built: fusing needs neither them nor what they need. A config serves as well where its model has
    no weights, as a classical method.

        model, experiment = vlfusion.load_model('work_dirs/film_ivf/best.pth')
        print(experiment['task'])

    Args:
        path: the checkpoint; or the config, a file `.py` or a name such as `classical/laplacian_ivf`.
        experiment: what counts in place of the checkpoint's own; its weights must fit.
        trust: whether to take the checkpoint at its word, see `read_experiment`.

    Raises:
        CheckpointError: the file is unsafe, truncated, not of vlfusion, or does not fit the model that it names.
        ConfigError: a config has a model with weights, or lacks its task or model.
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
    """The experiment that a checkpoint, or a config, belongs to; its model is not built.

    A config is the user's own. A checkpoint may be a stranger's, so it is believed as far as `vlfusion.engine.trust`
    says. Of a `language` section that reaches further nothing is left; `language_error` holds what to raise where a
    text is needed, and `readable_language` what to look for in a text store that has the text already.

    Args:
        path: the checkpoint; or the config, a file `.py` or a name such as `classical/laplacian_ivf`.
        trust: whether to take the checkpoint at its word.

    Raises:
        CheckpointError: as for `load_model`; or the model section asks for files, addresses or a hub.
    """
    if is_config(path):
        return experiment_of(load_config(path))
    return _experiment(_read_checkpoint(path), path, trust)


def _experiment(checkpoint: Mapping, path: str | os.PathLike, trust: bool) -> dict[str, Any]:
    told = checkpoint['meta']['vlfusion']
    experiment = {key: told[key] for key in EXPERIMENT_KEYS if key in told}
    with foreign(f'What {path} says of itself cannot be read', CheckpointError, COPY):  # such as a list in itself
        experiment['origin'] = origin(experiment, checkpoint['meta'])
        experiment['model'] = to_fuse(experiment['model'])
        if trust:
            return experiment
        check_model(experiment['model'], str(path))
        check_text_source(experiment.get('text_source'), str(path))
        language = believed_language(experiment.get('language'))
    if asked := experiment.pop('language', None):
        if language:
            experiment['language'] = language
        else:
            experiment['language_error'] = refuse_language(asked, str(path))
            experiment['readable_language'] = readable_language(asked)
    return experiment


def _read_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    checkpoint = load_checkpoint_file(path)
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    experiment = meta.get('vlfusion') if isinstance(meta, dict) else None
    if not (isinstance(experiment, dict) and {'task', 'model'} <= experiment.keys() and 'state_dict' in checkpoint):
        raise CheckpointError(f'{path} is not a checkpoint of vlfusion: it does not say which model it holds.',
                              "Released weights of a method become one with `vlfusion convert-weights NAME IN OUT`.")
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
    """The experiment of a config; raises ConfigError where it has no task or no model."""
    experiment = {key: config[key] for key in EXPERIMENT_KEYS if config.get(key)}
    if lacking := [key for key in ('task', 'model') if key not in experiment]:
        raise ConfigError(f'{config.filename} has no {" and no ".join(lacking)}.', 'Give a config of an experiment.')
    return experiment


def to_fuse(model: Mapping) -> dict[str, Any]:
    """A model section without what only a training needs: losses, and files that its first weights came from."""
    model = {key: value for key, value in model.items() if key not in ('losses', 'init_cfg')}
    backbone = model.get('backbone')
    if isinstance(backbone, Mapping) and isinstance(backbone.get('type'), str):
        unused = getattr(BACKBONES.get(backbone['type']), 'training_only', ())
        model['backbone'] = {key: value for key, value in backbone.items() if key not in unused}
    return model


def _build_without_losses(model: Mapping) -> nn.Module:
    return MODELS.build(to_fuse(model))


def load_weightless(config: Config) -> tuple[nn.Module, dict[str, Any]]:
    """The model of a config, in evaluation mode, and its experiment; raises ConfigError where it has weights."""
    experiment = experiment_of(config)
    return build_weightless(experiment['model'], config.filename), experiment


def build_weightless(model: Mapping, origin: str) -> nn.Module:
    """A model without weights, in evaluation mode; raises ConfigError, which names the origin, where it has some."""
    built = _build_without_losses(model)
    if count := sum(parameter.numel() for parameter in built.parameters()):
        raise ConfigError(f'The model of {origin} has {count} weights, which a config does not hold.',
                          'Give a checkpoint, as training or `convert-weights` writes it.')
    return built.eval()


def convert_released(name: str, released: str | os.PathLike | Sequence[str | os.PathLike], out: str | os.PathLike,
                     task: str, protocol: str | None = None, arguments: Mapping | None = None) -> int:
    """Write the released weights of a backbone as a checkpoint of vlfusion.

    Args:
        name: the backbone in BACKBONES; it has a static method `convert_released(*states) -> state`, and perhaps
            another, `read_released(path) -> state`, where the authors' files are none that torch reads.
        released: the authors' file, `.pth` or `.safetensors`; or their files, in the order that the method takes them.
        out: the checkpoint to write.
        task: the task the weights were trained for.
        protocol: how outputs become grey levels; by default as the authors of the method do.
        arguments: of the backbone; by default those that the authors' files are known to fit.

    Returns:
        The number of tensors, each of which found its place.

    Raises:
        DataError: the checkpoint would replace a file of the authors, or cannot be written there.
        CheckpointError: a file is unsafe or truncated, has other names than the released weights, or no conversion is
            known for the backbone.
    """
    files = [released] if isinstance(released, (str, os.PathLike)) else released
    check_outputs([out], files)
    backbone = BACKBONES.get(name)
    if not hasattr(backbone, 'convert_released'):
        raise CheckpointError(f'No conversion of released weights is known for {name}.',
                              'Only backbones with a static method convert_released have one.')
    read = getattr(backbone, 'read_released', load_checkpoint_file)
    states = [read(file) for file in files]
    for file, state in zip(files, states, strict=True):
        if not isinstance(state, dict):
            raise CheckpointError(f'{file} holds a {type(state).__name__}, not weights by name.',
                                  "Give the authors' file, unchanged.")
    known = list(getattr(backbone, 'released', {}).values())
    if arguments is None:  # the files themselves say what they fit
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
    """The released weights of a backbone, and its authors' files, whole and unchanged.

    Files of several methods have one name, so each method has a folder of its own: `data/weights/matr/model_10.pth`, or
    `data/weights/mufusion/tno/Final.model` for one of several sets. A file that lies in `folder` itself will do too.

    Args:
        name: the backbone in BACKBONES.
        which: the name of one set, where several were released.
        folder: where the user has put the files, or the folders of the methods.

    Raises:
        CheckpointError: the backbone has no such weights, or a file is missing or another one; says what to fetch.
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
            problems += [f'{path} is another file: its SHA-256 is {digest}, expected {sha256}'
                         for path, digest in digests.items()]
    if problems:
        raise CheckpointError(f'The released weights of {name} are not there:\n{listing(problems)}',
                              f'Fetch {" and ".join(weights.files)} from {weights.source} '
                              f'(licence of the weights: {weights.licence}) and put them into {place}.')
    return weights, files
