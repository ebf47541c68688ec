"""DIDFuse: deep image decomposition for infrared and visible image fusion (Zhao et al., IJCAI 2020).

An encoder splits an image into background and detail features; a decoder restores the image from them. The network is
trained as an autoencoder. At test time, a rule merges the features of both sources between encoder and decoder.
This independent implementation reproduces the output of the released network up to rounding.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.models.layers.merging import MERGING_RULES, merge_features, takes_stacks
from vlfusion.models.released import convert
from vlfusion.models.stacks import Stack
from vlfusion.registry import BACKBONES


class Features(NamedTuple):
    """Features of an image: four maps `(batch, dim, h, w)`. The decoder reads all of them."""

    first: Float[Tensor, 'batch dim h w']
    second: Float[Tensor, 'batch dim h w']
    background: Float[Tensor, 'batch dim h w']  # in [-1, 1]
    detail: Float[Tensor, 'batch dim h w']  # in [-1, 1]


@BACKBONES.register_module()
class DIDFuse(nn.Module):
    """DIDFuse: an autoencoder that splits images into background and detail, and fuses both kinds of features.

    Both sources go through one encoder, so their order does not matter.

    Args:
        fusion: `sum` (the authors' choice), `mean`, or `l1` (weights by activity). Rules have no weights, so any
            rule fits any checkpoint. The means take any number of sources.
        dim: channels of each feature map.

    >>> DIDFuse()(torch.rand(2, 1, 20, 28), torch.rand(2, 1, 20, 28)).shape
    torch.Size([2, 1, 20, 28])

    Raises:
        ConfigError: the fusion rule is unknown.
    """

    def __init__(self, fusion: str = 'sum', dim: int = 64):
        super().__init__()
        if fusion not in MERGING_RULES:
            raise ConfigError(f'DIDFuse has no fusion rule {fusion!r}.', did_you_mean(fusion, MERGING_RULES))
        self.fusion = fusion
        self.sources = None if takes_stacks(fusion) else 2
        self.halo = 6 + (fusion == 'l1')  # six 3x3 convolutions one after the other; the window of the activity
        self.first = _conv_block(1, dim, nn.PReLU(), padding_mode='reflect')
        self.second = _conv_block(dim, dim, nn.PReLU())
        self.background = _conv_block(dim, dim, nn.Tanh())
        self.detail = _conv_block(dim, dim, nn.Tanh())
        self.merge = _conv_block(2 * dim, dim, nn.PReLU())
        self.merge_second = _conv_block(2 * dim, dim, nn.PReLU())
        self.merge_first = _conv_block(2 * dim, 1, nn.Sigmoid(), padding_mode='reflect')

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a, source_b: luminance in [0, 1], of at least two rows and columns.
            text, text_mask: unused; DIDFuse reads no text.

        Returns:
            The fused luminance, in [0, 1].
        """
        return self.fuse_stack((source_a, source_b))

    def fuse_stack(self, sources: Stack) -> Float[Tensor, 'batch 1 h w']:
        """Fuse any number of images of one scene; the rest is as for `forward`."""
        return self.decode(Features(*merge_features(map(self.encode, sources), self.fusion)))

    def encode(self, image: Float[Tensor, 'batch 1 h w']) -> Features:
        """Compute the features of an image in [0, 1]."""
        first = self.first(image)
        second = self.second(first)
        return Features(first, second, self.background(second), self.detail(second))

    def decode(self, features: Features) -> Float[Tensor, 'batch 1 h w']:
        """Restore an image in [0, 1] from its features."""
        merged = self.merge(torch.cat((features.background, features.detail), 1))
        merged = self.merge_second(torch.cat((merged, features.second), 1))
        return self.merge_first(torch.cat((merged, features.first), 1))

    @staticmethod
    def convert_released(*states: dict) -> dict[str, Tensor]:
        """Rename the states of the released encoder and decoder to the names of this network.

        Args:
            states: contents of the encoder's and the decoder's file: released name to tensor, at the top or under
                `weight`. A prefix `module.` is dropped.

        Raises:
            CheckpointError: a name is missing, or DIDFuse does not have it.
        """
        state = {name: value for part in states for name, value in part.get('weight', part).items()}
        return convert(DIDFuse, state, _released_name,
                       remedy='Give Encoder_weight_IJCAI.pkl and Decoder_weight_IJCAI.pkl, unchanged.')


def _conv_block(channels: int, dim: int, activation: nn.Module, padding_mode: str = 'zeros') -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, dim, 3, padding=1, padding_mode=padding_mode), nn.BatchNorm2d(dim),
                         activation)


#: Layers in the order of the released `cov1` to `cov7`. The two that reflect the border begin with a padding layer.
_LAYERS = ('first', 'second', 'background', 'detail', 'merge', 'merge_second', 'merge_first')


def _released_name(name: str) -> str:
    """Released name of a parameter of DIDFuse."""
    layer, index, parameter = name.split('.')
    number = _LAYERS.index(layer) + 1
    offset = 1 if layer in ('first', 'merge_first') else 0
    return f'cov{number}.cov{number}.{int(index) + offset}.{parameter}'
