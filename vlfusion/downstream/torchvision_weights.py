"""Models of torchvision by name, with its weights, for any number of classes."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from vlfusion.errors import ConfigError, did_you_mean, needs
from vlfusion.guards.foreign import foreign

#: Models that also need outlines or joints of things as labels.
_OTHER = ('maskrcnn', 'keypointrcnn')


def own_classes(part: str, task: str, model: str, weights: str) -> list[str]:
    """Return the class names of torchvision's weights of a model, by number.

    Args:
        part: name of the network's class, for messages.
        task: `detection` or `segmentation`.
        model: name of the model.
        weights: name of the weights.

    Raises:
        ConfigError: torchvision is not installed, or does not have them.
    """
    return list(_weights(part, task, model, weights).meta['categories'])


def build_torchvision(part: str, task: str, model: str, weights: str | None, count: int,
                      options: Mapping[str, Any] | None = None) -> nn.Module:
    """Build a model of torchvision with `count` classes.

    Weights of layers that depend on the number of classes are left out if that number differs.

    Args:
        part: name of the network's class, for messages.
        task: `detection` or `segmentation`.
        model: name of the model.
        weights: name of the weights, which the first use loads; None for random ones.
        count: number of classes.
        options: further arguments of the model.

    Raises:
        ConfigError: torchvision is not installed, does not have them, or they cannot be loaded.
    """
    _check_name(part, task, model)
    from torchvision.models import get_model
    with foreign(f'{model} of {part} cannot be built', ConfigError, 'Check its arguments.'):
        network = get_model(model, weights=None, weights_backbone=None, num_classes=count, **(options or {}))
    if weights is None:
        return network
    source = _weights(part, task, model, weights)
    with foreign(f'{part} cannot load the weights {weights} of {model}', ConfigError,
                 f'The first use loads {source.url} into the folder hub/checkpoints of TORCH_HOME. Put the file there '
                 'yourself, or set weights=None.'):
        state = source.get_state_dict(progress=False, check_hash=True, weights_only=True)
    own = network.state_dict()
    # Some weights hold an auxiliary classifier, which has no part in prediction and which the model here may lack.
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    network.load_state_dict(fitting, strict=False)
    return network


def _check_name(part: str, task: str, model: str) -> None:
    with needs(part, 'torchvision', 'vision'):
        import torchvision.models
    known = [name for name in torchvision.models.list_models(getattr(torchvision.models, task))
             if not name.startswith(_OTHER)]
    if model not in known:
        raise ConfigError(f'{part} has no model {model!r}.', did_you_mean(model, known))


def _weights(part: str, task: str, model: str, weights: str) -> Any:
    _check_name(part, task, model)
    from torchvision.models import get_model_weights
    known = get_model_weights(model)
    if weights not in known.__members__:
        raise ConfigError(f'{model} of {part} has no weights {weights!r}.', did_you_mean(weights, known.__members__))
    return known[weights]
