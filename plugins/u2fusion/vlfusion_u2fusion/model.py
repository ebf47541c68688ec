"""U2Fusion: a unified unsupervised image fusion network (Xu, Ma, Jiang, Guo and Ling, TPAMI 44(1), 2022).

A densely connected encoder sees both sources as two channels; four convolutions make the fused image of all its
features. One network serves every task, so it knows nothing of modalities. Written afresh: the authors' code is in
TensorFlow; what a reimplementation in PyTorch computes, whose weights are offered here, is reproduced to rounding.
"""

import re
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.released import ReleasedWeights, convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class U2Fusion(nn.Module):
    """The network of U2Fusion. It has 659,217 parameters and reads no text.

    Args:
        dim: channels of each dense layer.
        layers: how many of them follow the first convolution.
        padding: what lies beyond the border: `reflect` in the authors' code, `zeros` in the reimplementation whose
            weights are offered. It has no weights, so both load the same checkpoint, but borders differ.

    >>> U2Fusion()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])
    """

    released: ClassVar[dict[str, ReleasedWeights]] = {
        'mef': ReleasedWeights(
            files={'model.pth': '05e8fc40ba96055178a76880ec89a079bd4ad1e93db5d711457baba61cfcd77e'},
            source='https://github.com/ytZhang99/U2Fusion-pytorch (model/), not by the authors of U2Fusion',
            licence='none stated', task='mef', protocol='truncate', arguments={'padding': 'zeros'})}

    def __init__(self, dim: int = 44, layers: int = 5, padding: str = 'zeros'):
        super().__init__()
        self.halo = 1 + layers + 4  # 3x3 convolutions: the first, the dense ones, the decoder's
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
            source_b: the other source, likewise.
            text, text_mask: unused.

        Returns:
            The fused luminance, in [0, 1].
        """
        # The network works in [-1, 1] on both sides. The authors' takes [0, 1] in, which the first layer can absorb.
        features = self.embed(2 * torch.cat((source_a, source_b), 1) - 1)
        for layer in self.dense:
            features = torch.cat((features, layer(features)), 1)
        return (self.decoder(features) + 1) / 2

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor, or the released checkpoint with that under `model`; a prefix `module.` is
                dropped.

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
