"""U2Fusion: a unified unsupervised image fusion network (Xu, Ma, Jiang, Guo and Ling, TPAMI 44(1), 2022).

A densely connected encoder sees both sources as two channels; four convolutions turn all its features into the fused
image. One network serves every task, whatever the modalities. The authors' code is in TensorFlow. This independent
implementation reproduces, up to rounding, the output of a reimplementation in PyTorch, whose weights can be converted.
"""

import re

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class U2Fusion(nn.Module):
    """U2Fusion: a densely connected encoder of both sources and a convolutional decoder. 659,217 parameters, no text.

    Args:
        dim: channels of each dense layer.
        layers: number of dense layers after the first convolution.
        padding: padding mode: `reflect` in the authors' code, `zeros` in the reimplementation whose weights can be
            converted. Both load the same checkpoint, but results differ at borders.

    >>> U2Fusion()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])
    """

    def __init__(self, dim: int = 44, layers: int = 5, padding: str = 'zeros'):
        super().__init__()
        self.halo = 1 + layers + 4  # 3x3 convolutions: the first, the dense layers, the decoder
        self.embed = _convolution(2, dim, padding)
        self.dense = nn.ModuleList(_convolution(i * dim, dim, padding) for i in range(1, layers + 1))
        self.decoder = nn.Sequential(
            _convolution((layers + 1) * dim, 128, padding),
            _convolution(128, 64, padding),
            _convolution(64, 32, padding),
            nn.Conv2d(32, 1, 3, padding=1, padding_mode=padding),
            nn.Tanh())

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: luminance in [0, 1]; for exposure pairs the over-exposed image.
            source_b: luminance of the other source in [0, 1].
            text, text_mask: unused.

        Returns:
            The fused luminance, in [0, 1].
        """
        # The network works in [-1, 1]. The authors' input is in [0, 1], which the first layer can absorb.
        features = self.embed(2 * torch.cat((source_a, source_b), 1) - 1)
        for layer in self.dense:
            features = torch.cat((features, layer(features)), 1)
        return (self.decoder(features) + 1) / 2

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor, at the top or under `model`; a prefix `module.` is dropped.

        Raises:
            CheckpointError: a name is missing, or U2Fusion does not have it.
        """
        return convert(U2Fusion, state.get('model', state), _released_name,
                       remedy='Give the model.pth of U2Fusion-pytorch, or its tensors under their own names.')


def _convolution(channels: int, out_channels: int, padding: str) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out_channels, 3, padding=1, padding_mode=padding), nn.LeakyReLU(0.2))


def _released_name(name: str) -> str:
    """Released name of a parameter: `dense.2.0.weight` is `dense_layers.2.conv.0.weight`."""
    name = name.replace('embed', 'conv_1').replace('decoder', 'sub')
    return re.sub(r'dense\.(\d)', r'dense_layers.\1.conv', name)
