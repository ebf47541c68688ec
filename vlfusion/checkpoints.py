"""Checkpoints: strict loading, rebuilding a model from one, and converting the released weights of a method.

A checkpoint of vlfusion is `dict(state_dict, meta)` of tensors and plain values. `meta['vlfusion']` holds the
experiment as data: `task`, `model`, and where they apply `language`, `text_source` and `protocol`.
"""

import io
import os
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from vlfusion import __version__
from vlfusion.compat import AtomicBackend, load_checkpoint_file
from vlfusion.errors import CheckpointError, listing
from vlfusion.registry import BACKBONES, MODELS

#: The top-level keys of a config that describe the experiment itself and travel with its checkpoints.
EXPERIMENT_KEYS = ('task', 'model', 'language', 'text_source', 'protocol')


def load_strictly(model: nn.Module, state: dict[str, Shaped[Tensor, '...']], origin: str) -> None:
    """Load a state in which every name and shape must fit.

    Raises:
        CheckpointError: names the tensors that are missing, unexpected or of another shape.
    """
    own = model.state_dict()
    problems = [f'missing: {name}' for name in own if name not in state]
    problems += [f'unexpected: {name}' for name in state if name not in own]
    problems += [f'shape of {name}: {tuple(state[name].shape)} in the file, {tuple(own[name].shape)} in the model'
                 for name in own if name in state and state[name].shape != own[name].shape]
    if problems:
        raise CheckpointError(f'{origin} does not fit the model:\n{listing(problems)}',
                              'Use the config the checkpoint was trained with; released weights go through '
                              'convert-weights first.')
    model.load_state_dict(state)


def load_model(path: str | os.PathLike) -> tuple[nn.Module, dict[str, Any]]:
    """The model in a checkpoint of vlfusion, in evaluation mode, and the experiment it belongs to.

    Raises:
        CheckpointError: the file is unsafe, truncated, not of vlfusion, or does not fit the model that it names.
    """
    checkpoint = load_checkpoint_file(path)
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    experiment = meta.get('vlfusion') if isinstance(meta, dict) else None
    if not (isinstance(experiment, dict) and {'task', 'model'} <= experiment.keys() and 'state_dict' in checkpoint):
        raise CheckpointError(f'{path} is not a checkpoint of vlfusion: it does not say which model it holds.',
                              "Released weights of a method become one with `vlfusion convert-weights NAME IN OUT`.")
    model = MODELS.build(experiment['model'])
    load_strictly(model, checkpoint['state_dict'], str(path))
    return model.eval(), experiment


def convert_released(name: str, released: str | os.PathLike, out: str | os.PathLike, task: str) -> int:
    """Write the released weights of a backbone as a checkpoint of vlfusion.

    Args:
        name: the backbone in BACKBONES; it has a static method `convert_released(state) -> state`.
        released: the authors' file, `.pth` or `.safetensors`.
        out: the checkpoint to write.
        task: the task the weights were trained for.

    Returns:
        The number of tensors, each of which found its place.

    Raises:
        CheckpointError: the file is unsafe or truncated, has other names than the released weights, or no conversion is
            known for the backbone.
    """
    backbone = BACKBONES.get(name)
    if not hasattr(backbone, 'convert_released'):
        raise CheckpointError(f'No conversion of released weights is known for {name}.',
                              'Only backbones with a static method convert_released have one.')
    state = load_checkpoint_file(released)
    if not isinstance(state, dict):
        raise CheckpointError(f'{released} holds a {type(state).__name__}, not weights by name.',
                              "Give the authors' file, unchanged.")
    state = backbone.convert_released(state)
    model = dict(type='FusionModel', backbone=dict(type=name))
    built = MODELS.build(model)
    load_strictly(built.backbone, state, str(released))
    buffer = io.BytesIO()
    torch.save(dict(state_dict=built.state_dict(),
                    meta=dict(vlfusion=dict(task=task, model=model, protocol='film'), released=Path(released).name,
                              vlfusion_version=__version__)), buffer)
    AtomicBackend().put(buffer.getvalue(), out)
    return len(state)
