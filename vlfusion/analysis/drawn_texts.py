"""Reach of a network's text: how far drawn texts move its output, from random states or with trained weights.

No data, descriptions or text encoder are needed, so any text-guided network can be asked before it is trained. A text
that moves nothing in a random state is damped by the architecture. Whether training makes use of what a text says is a
question for `vlfusion.analysis.text_variants.ablate_text`.
"""

import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from mmengine.config import Config
from torch import Tensor, nn

from vlfusion.config import as_config
from vlfusion.config_names import is_config
from vlfusion.engine.checkpoints import load_model
from vlfusion.errors import ConfigError
from vlfusion.guards.cells import markdown_table
from vlfusion.models import map_inputs, text_dims
from vlfusion.registry import BACKBONES, LOSSES
from vlfusion.system.devices import device_of

#: Norm of a drawn token: about that of CLIP's text vectors.
NORM = 10.0


@dataclass(frozen=True)
class Reach:
    """Change of a network's output when its texts are exchanged for other drawn ones.

    Attributes:
        state: the network's state, such as `random state 0` or the name of a checkpoint.
        text: name of the text that was exchanged; empty for all together.
        mean: mean absolute change of a pixel, in grey levels (output x 255).
        maximum: largest change of a pixel, in grey levels.
    """

    state: str
    text: str
    mean: float
    maximum: float


def reach_of_text(model: str | os.PathLike | Config, *, states: int = 3, size: int = 64, pairs: int = 2,
                  tokens: int | None = None, norm: float = NORM) -> list[Reach]:
    """Measure how far drawn texts move the output of a network.

        for reach in vlfusion.reach_of_text('film/film_mif', states=1):
            print(reach.mean, reach.maximum)

    Images, and maps that the network needs, are uniform noise in [0, 1]; texts are Gaussian tokens of one norm. The
    draws are the same in every call.

    Args:
        model: a config, as a file, a name, or as `load_config` returns it, for random states; or a trained model, as
            `load_model` takes it.
        states: number of random states of a config: the network's own initialisations from the seeds 0, 1 and so on.
        size: height and width of the images in pixels.
        pairs: number of pairs, each with texts of its own.
        tokens: number of tokens of a text; None for the network's `text_tokens`, or 1 without such a limit.
        norm: norm of a token; CLIP's pooled vectors have about 10, those of sentence encoders 1.

    Returns:
        A row for each state, and one for each text of a network that reads several.

    Raises:
        ConfigError: the config has no model, or its network reads no text.
        CheckpointError: the weights do not fit the model.
    """
    rows = []
    for state, network in _networks(model, states):
        rows += _reaches(network.eval().to(device_of()), state, size, pairs, tokens, norm)
    return rows


def _networks(model: str | os.PathLike | Config, states: int) -> Iterator[tuple[str, nn.Module]]:
    if not isinstance(model, Config) and not is_config(Path(model)):
        yield str(model), load_model(model)[0].backbone
        return
    config = as_config(model)
    if not config.get('model'):
        raise ConfigError(f'{config.filename} has no model.', 'Give a config with a model.')
    for seed in range(states):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = BACKBONES.build(config.model.backbone)
        yield f'random state {seed}', network


def reading_losses(config: Config) -> dict[str, list[str]]:
    """Return the losses of a config that read a text of the sample, with the names of the texts.

    Others can depend on a text only through the fused image, or if their weight or target goes along with the text.

    >>> reading_losses(Config(dict(model=dict(backbone=dict(type='FILM', text_dim=8),
    ...                                       losses=[dict(type='MaxIntensityLoss')]))))
    {}
    """
    texts = text_dims(BACKBONES.build(config.model.backbone)).keys() | {'text'}
    reading = {}
    for term in config.model.get('losses', ()):
        parameters = inspect.signature(LOSSES.get(term['type']).forward).parameters
        if term.get('weight', 1) and (read := [name for name in parameters if name in texts]):
            reading[term['type']] = read
    return reading


def reach_table(rows: list[Reach]) -> str:
    """Write the rows as a Markdown table."""
    everything = 'all texts' if any(row.text for row in rows) else 'text'
    return markdown_table(['network', 'exchanged', 'change of a pixel', 'at most'], [
        [row.state, row.text or everything, in_levels(row.mean), in_levels(row.maximum)] for row in rows])


def in_levels(change: float) -> str:
    """Write a change in grey levels by two digits, or as a whole number.

    >>> in_levels(0.0123), in_levels(103.4)
    ('0.012', '103')
    """
    return f'{change:.2g}' if change < 99.5 else f'{change:.0f}'


@torch.no_grad()
def _reaches(network: nn.Module, state: str, size: int, pairs: int, tokens: int | None, norm: float) -> list[Reach]:
    dims = text_dims(network)
    if not dims:
        raise ConfigError(f'{type(network).__name__} reads no text, so text has no effect on it.',
                          'Give the config of a network that is guided by text.')
    device = next(network.parameters(), torch.empty(0)).device
    generator = torch.Generator().manual_seed(0)
    names = ['source_a', 'source_b', *(name for name, required in map_inputs(network).items() if required)]
    images = {name: torch.rand(pairs, 1, size, size, generator=generator).to(device) for name in names}
    tokens = tokens or getattr(network, 'text_tokens', 1)
    own, other = (_draw(dims, pairs, tokens, norm, generator, device) for _ in range(2))
    fused = network(**images, **own)
    exchanged = {'': other} | ({name: own | {name: other[name]} for name in dims} if len(dims) > 1 else {})
    rows = []
    for text, texts in exchanged.items():
        change = 255 * (network(**images, **texts) - fused).abs()
        rows.append(Reach(state, text, change.mean().item(), change.max().item()))
    return rows


def _draw(dims: Mapping[str, int], pairs: int, tokens: int, norm: float, generator: torch.Generator,
          device: torch.device) -> dict[str, Float[Tensor, 'pair token dim']]:
    texts = {name: torch.randn(pairs, tokens, dim, generator=generator) for name, dim in dims.items()}
    return {name: (norm * text / text.norm(dim=-1, keepdim=True)).to(device) for name, text in texts.items()}
