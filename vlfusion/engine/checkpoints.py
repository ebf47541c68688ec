"""Checkpoints: load states strictly, rebuild models, and convert released weights.

A checkpoint of vlfusion is `dict(state_dict, meta)` of tensors and plain values. `meta['vlfusion']` holds the
experiment as data: `task`, `model`, and if needed `language`, `text_source`, `protocol` and `chroma`. After reading, it
also holds `origin`, which describes the model's training in words.
"""

import os
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from torch import nn

from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.named import EXPERIMENT_KEYS, Located, experiment_of, locate
from vlfusion.engine.origin import origin
from vlfusion.engine.released import convert_released
from vlfusion.engine.states import check_state, load_strictly
from vlfusion.engine.trust import believed_language, check_model, check_text_source, readable_language, refuse_language
from vlfusion.errors import CheckpointError, ConfigError
from vlfusion.guards.foreign import foreign
from vlfusion.registry import BACKBONES, MODELS, Registry
from vlfusion.zoo.metadata import COPY

__all__ = ['COPY', 'EXPERIMENT_KEYS', 'build_weightless', 'convert_released', 'experiment_of', 'load_model',
           'load_strictly', 'load_weightless', 'read_experiment', 'to_fuse']

#: Types of the values of an experiment in a checkpoint.
FORM = {'task': str, 'model': dict, 'language': dict, 'text_source': dict, 'protocol': str, 'chroma': str}


def load_model(model: str | os.PathLike | Located, experiment: Mapping | None = None,
               trust: bool = False) -> tuple[nn.Module, dict[str, Any]]:
    """Load a model, ready to fuse, and its experiment.

    Losses are not built, since fusing does not need them.

        model, experiment = vlfusion.load_model('film-mif')
        print(experiment['task'])

    Args:
        model: a checkpoint, a name, an address on the hub, or the config of a model without weights, as for
            `vlfusion.engine.named.locate`. Weights that are not here are downloaded.
        experiment: experiment to use instead of the model's own; the weights must fit its model.
        trust: True to accept everything that a checkpoint asks for, see `read_experiment`.

    Returns:
        The model in evaluation mode, and the experiment.

    Raises:
        CheckpointError: the file is unsafe, truncated, not from vlfusion, or does not fit the model that it names.
        ConfigError: the model of a config has weights, or the config lacks a task or model.
        DownloadError: the weights cannot be downloaded.
    """
    located = locate(model)
    if located.file is None:
        experiment = experiment or located.experiment
        if to_fuse(experiment['model']) != to_fuse(located.experiment['model']):
            raise ConfigError(f'{located.name} has no weights for the model of the config: it is another model.',
                              'Give one of both: a model without weights needs no config, and a config no such model.')
        return build_weightless(experiment['model'], located.name), experiment
    checkpoint = read_checkpoint(located.file)
    experiment = experiment or _experiment(checkpoint, located, trust)
    try:
        with foreign(f'The model of {located.name} cannot be built', CheckpointError, COPY):
            built = _build_without_losses(experiment['model'])
    except ConfigError as error:
        raise CheckpointError(f'The model of {located.name} cannot be built. {error.problem}', COPY) from error
    state = {name: value for name, value in checkpoint['state_dict'].items() if not name.startswith('losses.')}
    load_strictly(built, state, located.name)
    return built.eval(), experiment


def read_experiment(model: str | os.PathLike | Located, trust: bool = False) -> dict[str, Any]:
    """Read the experiment of a model without building it.

    A config belongs to the user and is trusted, and so are the facts of an installed package about its models. A
    checkpoint may come from a stranger, so it is limited as `vlfusion.engine.trust` describes. A `language` section
    beyond these limits is removed. Then `language_error` holds the error to raise when a text is needed, and
    `readable_language` the section for lookups in a text store.

    Args:
        model: as for `load_model`.
        trust: True to accept everything that the checkpoint asks for.

    Raises:
        CheckpointError: as for `load_model`; or the model section asks for files, addresses or a hub.
    """
    located = locate(model)
    return located.experiment if located.file is None else _experiment(read_checkpoint(located.file), located, trust)


def _experiment(checkpoint: Mapping, located: Located, trust: bool) -> dict[str, Any]:
    path = located.file
    if located.experiment:
        return {**located.experiment, 'origin': origin(located.experiment, checkpoint['meta'])}
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


def read_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """Read a checkpoint of vlfusion, `dict(state_dict, meta)`, and check its form.

    Raises:
        CheckpointError: the file is unsafe, truncated or not from vlfusion.
    """
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


def to_fuse(model: Mapping) -> dict[str, Any]:
    """Reduce a model section to what fusing needs: no losses, no files of initial weights, no teacher."""
    model = _without_training_only(MODELS, {key: value for key, value in model.items()
                                            if key not in ('losses', 'init_cfg')})
    if 'backbone' in model:
        model['backbone'] = _without_training_only(BACKBONES, model['backbone'])
    return model


def _without_training_only(registry: Registry, part: Any) -> Any:
    if not isinstance(part, Mapping) or not isinstance(part.get('type'), str):
        return part
    unused = getattr(registry.get(part['type']), 'training_only', ())
    return {key: value for key, value in part.items() if key not in unused}


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
